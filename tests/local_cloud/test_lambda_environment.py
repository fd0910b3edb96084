"""A function's process has Lambda's variables, import path and layers, and its own execution environment."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local_cloud.lifecycle import Cloud
from local_cloud.runner.environment import threads
from tests.local_cloud.conftest import Functions, alive, eventually

SHOW_ENVIRONMENT = "import os\ndef handler(event, context): return dict(os.environ)"
IMPORTS = """
import importlib, os, sys
def handler(event, context):
    module = importlib.import_module(event)
    return [module.__file__, getattr(module, "WHO", None), os.getpid()]
"""
WAITS = """
import os, time
def handler(event, context):
    if event["mark"]: open(event["mark"], "w").close()
    time.sleep(event["seconds"])
    return [os.getpid(), "old"]
"""
MEETS = """
import os, pathlib, time
def handler(event, context):
    folder, company = event
    (pathlib.Path(folder) / str(os.getpid())).touch()
    while len(os.listdir(folder)) < company: time.sleep(0.01)
    return os.getpid()
"""


def waiting(seconds: float = 0, mark: str = "") -> dict[str, object]:
    """Return an event for the waiting function, which may create an empty file first."""
    return {"seconds": seconds, "mark": mark}


def test_the_environment_has_the_reserved_variables_and_the_functions_own_and_no_others(
    functions: Functions, cloud: Cloud
) -> None:
    name = functions.create(SHOW_ENVIRONMENT, Environment={"Variables": {"TABLE": "t", "AWS_REGION": "elsewhere"}})
    found = functions.invoke(name).payload
    assert found["TABLE"] == "t"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"  # reserved: the function's value is ignored
    assert found["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    allowed = {"TABLE", "PATH", "LANG", "LC_CTYPE", "TZ", "TMPDIR", "OMP_NUM_THREADS", "_HANDLER", "_X_AMZN_TRACE_ID"}
    assert {name for name in found if not name.startswith(("AWS_", "LAMBDA_"))} <= allowed


def test_numeric_threads_depend_on_the_memory_size_and_are_at_least_one() -> None:
    assert threads(128) == threads(1769) == 1
    assert threads(10240) == min(5, os.cpu_count() or 1)


def test_only_the_runtimes_own_packages_can_be_imported(functions: Functions) -> None:
    name = functions.create(IMPORTS)
    assert functions.invoke(name, "boto3").payload[0]
    for package in ("pytest", "pydantic", "ministack", "local_cloud", "pip"):
        assert functions.invoke(name, package).payload["errorType"] == "ModuleNotFoundError"


def test_function_code_comes_before_layers_and_a_later_layer_before_an_earlier(functions: Functions) -> None:
    first = functions.layer({"python/one.py": "WHO='first'", "python/two.py": "WHO='first'", "python/pack/a.py": "WHO='a'"})
    second = functions.layer(
        {"python/two.py": "WHO='second'", "python/handler.py": "", "python/pack/b.py": "WHO='b'", "python/boto3.py": "WHO='ours'"}
    )
    name = functions.create(IMPORTS, Layers=[first, second])
    found = {module: functions.invoke(name, module).payload[1] for module in ("one", "two", "pack.a", "pack.b", "boto3")}
    assert found == {"one": "first", "two": "second", "pack.a": "a", "pack.b": "b", "boto3": "ours"}


def test_a_layer_is_unpacked_once_for_all_functions(functions: Functions) -> None:
    layer = functions.layer({"python/shared_by_all.py": "WHO='me'"})
    places = []
    for body in (IMPORTS, IMPORTS + "# another"):
        places.append(functions.invoke(functions.create(body, Layers=[layer]), "shared_by_all").payload[0])
    assert places[0] == places[1]


def test_concurrent_events_run_in_separate_environments_which_are_reused(functions: Functions, tmp_path: Path) -> None:
    name = functions.create(MEETS, Timeout=60)
    with ThreadPoolExecutor(4) as pool:
        first = {answer.payload for answer in pool.map(lambda _: functions.invoke(name, [str(tmp_path), 4]), range(4))}
    assert len(first) == 4
    assert functions.invoke(name, [str(tmp_path), 1]).payload in first


def test_a_burst_on_a_cold_function_is_served_by_more_than_one_environment(functions: Functions, tmp_path: Path) -> None:
    name = functions.create(MEETS, Timeout=60)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: functions.invoke(name, [str(tmp_path), 2]), range(12)))
    assert all(answer.error is None for answer in answers)
    assert len({answer.payload for answer in answers}) > 1


def test_new_code_serves_the_next_event_while_a_running_one_finishes_on_the_old(functions: Functions, tmp_path: Path) -> None:
    name = functions.create(WAITS)
    old = functions.invoke(name, waiting()).payload[0]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.invoke, name, waiting(2, str(tmp_path / "started")))
        eventually((tmp_path / "started").exists)
        functions.update(name, WAITS.replace('"old"', '"new"'))
        fresh = functions.invoke(name, waiting()).payload
        assert fresh[1] == "new"
        assert running.result().payload == [old, "old"]
    eventually(lambda: not alive(old))


def test_a_published_version_keeps_its_code(functions: Functions) -> None:
    name = functions.create("def handler(event, context): return 'one'")
    version = functions.client.publish_version(FunctionName=name)["Version"]
    functions.update(name, "def handler(event, context): return 'two'")
    pinned = functions.client.invoke(FunctionName=name, Qualifier=version)["Payload"].read()
    assert (json.loads(pinned), functions.invoke(name).payload) == ("one", "two")


def test_a_deleted_functions_processes_end(functions: Functions) -> None:
    name = functions.create(WAITS)
    pid = functions.invoke(name, waiting()).payload[0]
    functions.client.delete_function(FunctionName=name)
    eventually(lambda: not alive(pid))
