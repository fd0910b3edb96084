"""A cloud with many deployments keeps only what is in use and what AWS would keep."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_cloud import clients, lifecycle
from local_cloud.durability import expiry
from local_cloud.runner import packages
from tests.local_cloud.conftest import ROLE, Functions, alive, archive, eventually, free_port, kill
from tests.local_cloud.mends.conftest import Emulator

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> packages.PackageStore:
    """A store in which a requested folder does not count as used."""
    monkeypatch.setattr(packages, "_START_DEADLINE", 0.0)
    return packages.PackageStore(tmp_path / "packages")


def unpack(store: packages.PackageStore, text: str) -> tuple[str, bytes, Path]:
    content = archive({"file.py": text})
    digest = store.digest(text, content)
    return digest, content, store.unpacked(digest, content)


def test_unreferenced_code_is_removed_and_unpacked_again_on_request(store: packages.PackageStore) -> None:
    kept, _, kept_folder = unpack(store, "kept")
    digest, content, folder = unpack(store, "gone")
    store.prune({kept}, [])
    assert [path.name for path in kept_folder.parent.iterdir()] == [kept]
    assert store.unpacked(digest, content) == folder
    assert (folder / "file.py").read_text() == "gone"


def test_folders_and_layers_that_a_process_uses_stay(store: packages.PackageStore) -> None:
    _, _, code = unpack(store, "code")
    layers = [unpack(store, text) for text in ("lower", "upper")]
    tree = store.merged([(digest, content) for digest, content, _ in layers])
    idle = store.merged([layers[0][:2]])
    program = "import sys; print('started', flush=True); sys.stdin.read()"
    command, pipe = [sys.executable, "-c", program, str(tree)], subprocess.PIPE
    with subprocess.Popen(command, cwd=code, stdin=pipe, stdout=pipe, text=True) as process:
        # Popen returns while the kernel still loads the program: for a moment a process has no command line yet.
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        store.prune((), [psutil.Process(process.pid)])
        assert code.is_dir()
        assert (tree / "file.py").read_text() == "upper"
        assert all(folder.is_dir() for _, _, folder in layers)
        assert process.stdin is not None
        process.stdin.close()
    store.prune((), [])
    assert not any(folder.exists() for folder in (code, tree, idle, *(folder for _, _, folder in layers)))


def test_a_merged_tree_is_removed_with_any_of_its_layers(store: packages.PackageStore) -> None:
    layers = [unpack(store, text) for text in ("lower", "upper")]
    tree = store.merged([(digest, content) for digest, content, _ in layers])
    store.prune({digest for digest, _, _ in layers}, [])
    assert tree.is_dir()
    store.prune({layers[0][0]}, [])
    assert not tree.exists()
    assert store.merged([(digest, content) for digest, content, _ in layers]) == tree
    assert (tree / "file.py").read_text() == "upper"


def test_a_folder_that_was_just_requested_stays(tmp_path: Path) -> None:
    """The process that will use it may not have started yet."""
    store = packages.PackageStore(tmp_path)
    _, _, folder = unpack(store, "starting")
    store.prune((), [])
    assert folder.is_dir()


def template(number: int) -> str:
    """A function whose code and published version change with each number, as CDK writes it."""
    code = f"import os\ndef handler(event, context): return [{number}, os.getpid()]"
    function = {
        "FunctionName": "changing",
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"ZipFile": code},
    }
    resources = {
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        f"Version{number}": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "Name": "live",
                "FunctionName": {"Ref": "Function"},
                "FunctionVersion": {"Fn::GetAtt": [f"Version{number}", "Version"]},
            },
        },
    }
    return json.dumps({"Resources": resources})


@pytest.fixture
def redeployed(own_state: Path) -> Iterator[tuple[lifecycle.Cloud, list[int]]]:
    """A cloud on which a function was deployed five times and invoked each time, and the processes that served."""
    cloud = lifecycle.up(own_state, free_port())
    formation = clients.session(cloud.endpoint).client("cloudformation")
    functions = Functions(cloud.endpoint)
    pids = []
    for number in range(5):
        if number == 0:
            formation.create_stack(StackName="s", TemplateBody=template(number))
        else:
            formation.update_stack(StackName="s", TemplateBody=template(number))
        done = f"stack_{'update' if number else 'create'}_complete"
        formation.get_waiter(done).wait(StackName="s", WaiterConfig={"Delay": 0.1, "MaxAttempts": 1200})
        answered, pid = functions.invoke("changing:live").payload
        assert answered == number
        pids.append(pid)
    yield cloud, pids
    lifecycle.down(own_state)


def test_redeployments_leave_no_old_code_and_no_processes(redeployed: tuple[lifecycle.Cloud, list[int]], own_state: Path) -> None:
    cloud, pids = redeployed
    eventually(lambda: not any(alive(pid) for pid in pids[:-1]))
    assert alive(pids[-1])
    data = own_state / "data"
    eventually(lambda: len(list((data / "services" / "lambda-blobs").iterdir())) == 1)
    lifecycle.down(own_state)
    lifecycle.up(own_state, int(cloud.endpoint.rpartition(":")[2]))
    assert len(list((data / "packages" / "archives").iterdir())) <= 1
    assert Functions(cloud.endpoint).invoke("changing:live").payload[0] == 4


def test_temporary_folders_of_a_killed_cloud_are_removed_at_the_next_start(own_state: Path) -> None:
    cloud = lifecycle.up(own_state, free_port())
    functions = Functions(cloud.endpoint)
    name = functions.create("import tempfile\ndef handler(event, context): return tempfile.gettempdir()")
    temporary = Path(functions.invoke(name).payload)
    (temporary / "file").touch()
    assert cloud.pid is not None
    kill(cloud.pid)
    lifecycle.up(own_state, int(cloud.endpoint.rpartition(":")[2]))
    assert not temporary.exists()


def milliseconds(days: float) -> int:
    return int((NOW - timedelta(days=days)).timestamp() * 1000)


def test_log_events_are_removed_after_their_groups_retention() -> None:
    """CloudWatch Logs documentation: "Change log data retention in CloudWatch Logs"."""

    def streams() -> dict[str, Any]:
        return {
            "old": {"events": [{"timestamp": milliseconds(9)}, {"timestamp": milliseconds(8)}]},
            "both": {"events": [{"timestamp": milliseconds(8)}, {"timestamp": milliseconds(6)}]},
            "new": {"events": []},
        }

    week: dict[str, Any] = {"retentionInDays": 7, "streams": streams()}
    for_ever: dict[str, Any] = {"retentionInDays": None, "streams": streams()}
    expiry.remove_log_events([week, for_ever], NOW)
    assert week["streams"] == {"both": {"events": [{"timestamp": milliseconds(6)}]}, "new": {"events": []}}
    assert for_ever["streams"] == streams()


def test_executions_are_removed_ninety_days_after_their_end() -> None:
    """Step Functions documentation, "Service quotas": execution history retention time."""

    def ended(days: int) -> str:
        return (NOW - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    executions: dict[Any, dict[str, Any]] = {
        "old": {"stopDate": ended(91)},
        "new": {"stopDate": ended(89)},
        "running": {"stopDate": None},
    }
    expiry.remove_executions(executions, NOW)
    assert set(executions) == {"new", "running"}


def test_a_stack_keeps_its_latest_events() -> None:
    events = list(range(expiry.STACK_EVENTS + 3))
    expiry.shorten([events])
    assert events == list(range(3, expiry.STACK_EVENTS + 3))


def test_expired_events_are_removed_with_the_next_snapshot(cloud: lifecycle.Cloud) -> None:
    logs = clients.session(cloud.endpoint).client("logs")
    logs.create_log_group(logGroupName="short")
    logs.create_log_stream(logGroupName="short", logStreamName="s")
    long_ago = int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1000)
    logs.put_log_events(logGroupName="short", logStreamName="s", logEvents=[{"timestamp": long_ago, "message": "old"}])
    logs.put_retention_policy(logGroupName="short", retentionInDays=1)
    eventually(lambda: logs.describe_log_streams(logGroupName="short")["logStreams"] == [])


def test_a_large_state_is_saved_less_often(tmp_path: Path) -> None:
    """The first save "takes" so long that the second is due in years; what is marked after it is saved all the same."""
    cloud = Emulator(tmp_path)
    cloud.start("from local_cloud.durability import snapshots; snapshots._SHARE = 1e12")
    services = tmp_path / "s" / "data" / "services"
    try:
        for number in range(2):
            cloud.client("ssm").put_parameter(Name=f"/p{number}", Value="v", Type="String")
            eventually((services / "ssm.json").exists)
        cloud.client("stepfunctions").create_state_machine(
            name="later", definition='{"StartAt": "s", "States": {"s": {"Type": "Succeed"}}}', roleArn=ROLE
        )
        eventually(lambda: "later" in (services / "stepfunctions.json").read_text())
        assert "/p1" not in (services / "ssm.json").read_text()
        cloud.stop()
        assert "/p1" in (services / "ssm.json").read_text()
    finally:
        cloud.kill()


#: Saving the parameters waits for something; of the processor it takes as little as ever.
WAITING = """
import time
from local_cloud.durability import snapshots
snapshots._SHARE = 400
save = snapshots.Snapshots.save
def wait_and_save(self, name):
    if name == "ssm":
        time.sleep(0.5)
    save(self, name)
snapshots.Snapshots.save = wait_and_save
"""


def _holds(file: Path, text: str) -> bool:
    return file.exists() and text in file.read_text()


def test_a_save_that_waits_does_not_count_as_a_large_state(tmp_path: Path) -> None:
    cloud = Emulator(tmp_path)
    cloud.start(WAITING)
    file = tmp_path / "s" / "data" / "services" / "ssm.json"
    try:
        for number in range(2):
            cloud.client("ssm").put_parameter(Name=f"/p{number}", Value="v", Type="String")
            eventually(partial(_holds, file, f"/p{number}"))
    finally:
        cloud.kill()
