"""Start and stop work after any earlier interruption, and stop all processes of the cloud and no others."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from local_cloud import clients, lifecycle
from local_cloud.state import REPOSITORY, StateFolder
from tests.local_cloud.conftest import Functions, alive, eventually, free_port, kill

PROCESS_AND_CHILD = """
import os, subprocess
def handler(event, context):
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    return [os.getpid(), child.pid]
"""


def test_up_is_idempotent_and_down_frees_processes_and_port(own_state: Path) -> None:
    port = free_port()
    first = lifecycle.up(own_state, port)
    assert lifecycle.up(own_state, port) == first
    assert lifecycle.status(own_state).healthy
    assert first.pid is not None
    pids = Functions(first.endpoint)
    function, child = pids.invoke(pids.create(PROCESS_AND_CHILD)).payload
    assert lifecycle.down(own_state)
    assert not any(alive(pid) for pid in (first.pid, function, child))
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert not lifecycle.down(own_state)
    assert not lifecycle.status(own_state).running


def test_functions_die_with_a_killed_server_and_up_recovers(own_state: Path) -> None:
    port = free_port()
    first = lifecycle.up(own_state, port)
    functions = Functions(first.endpoint)
    name = functions.create(PROCESS_AND_CHILD)
    function, child = functions.invoke(name).payload
    assert first.pid is not None
    kill(first.pid)
    eventually(lambda: not alive(function))
    again = lifecycle.up(own_state, port)
    assert again.pid != first.pid
    assert not alive(child)  # a detached process is found by its environment


def test_a_port_in_use_is_reported_with_the_alternatives(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_PORT_DEADLINE", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(lifecycle.CloudError, match=rf"port {port} .*DRIFTLESS_PORT"):
            lifecycle.up(own_state, port)


def test_a_process_with_a_reused_id_is_never_stopped(own_state: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as stranger:
        own_state.mkdir()
        record = {"pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time() - 60, "port": free_port()}
        (own_state / "cloud.json").write_text(json.dumps(record))
        assert not lifecycle.down(own_state)
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_without_a_record_is_found(own_state: Path) -> None:
    started = lifecycle.up(own_state, free_port())
    (own_state / "cloud.json").unlink()
    assert lifecycle.up(own_state) == started
    assert lifecycle.down(own_state)
    assert started.pid is not None
    assert not alive(started.pid)


def test_two_concurrent_starts_give_one_server(own_state: Path) -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: lifecycle.up(own_state, port), range(2))
    assert first == second


def test_a_start_works_after_a_killed_start(own_state: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "local_cloud", "up", "--state", str(own_state), "--port", str(port)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        eventually(StateFolder(own_state).log.exists)
        starter.kill()
    cloud = lifecycle.up(own_state, port)
    assert lifecycle.responds(cloud.endpoint)
    assert servers(own_state) == [cloud.pid]


def servers(state: Path) -> list[int]:
    """Ids of the server processes of a folder, including those that are starting."""
    commands = {process.pid: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, command in commands.items() if {str(state), "local_cloud.server"} <= set(command) and alive(pid)]


def test_a_server_that_has_not_written_its_record_is_used(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that started it was killed. The next command spawns a second server, which ends without the lock."""
    port = free_port()
    first = lifecycle.up(own_state, port)
    find, looks = StateFolder.server, itertools.count()
    monkeypatch.setattr(StateFolder, "server", lambda folder: find(folder) if next(looks) else None)
    monkeypatch.setattr(lifecycle, "_becomes_free", lambda port: True)
    assert lifecycle.up(own_state, port) == first
    assert servers(own_state) == [first.pid]


def test_a_server_that_ignores_sigterm_is_killed(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_STOP_DEADLINE", 0.5)
    cloud = lifecycle.up(own_state, free_port())
    assert cloud.pid is not None
    os.kill(cloud.pid, signal.SIGSTOP)
    assert lifecycle.down(own_state)
    assert not alive(cloud.pid)


def test_a_zombie_counts_as_ended() -> None:
    """In a container the first process may not reap orphans; here the parent does not reap its child."""
    program = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '300'], start_new_session=True);"
        " print(child.pid, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        try:
            lifecycle._stop(orphan)
            assert orphan.status() == psutil.STATUS_ZOMBIE
        finally:
            parent.kill()


def test_an_endpoint_of_the_user_is_used_and_no_server_started(
    cloud: lifecycle.Cloud, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    assert lifecycle.up(own_state) == lifecycle.Cloud(cloud.endpoint, ours=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(lifecycle.CloudError, match=r"AWS_ENDPOINT_URL=.* does not respond"):
        lifecycle.up(own_state)
    assert not own_state.exists()


def test_a_cloud_that_runs_other_code_is_restarted_on_its_port(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``git pull``, ``up`` runs the new code with the state of before."""
    first = lifecycle.up(own_state, free_port())
    clients.session(first.endpoint).client("s3").create_bucket(Bucket="kept")
    assert lifecycle.up(own_state).pid == first.pid
    monkeypatch.setattr(lifecycle, "code_digest", lambda enforce_iam: "other code")
    again = lifecycle.up(own_state)
    assert again.pid != first.pid
    assert again.endpoint == first.endpoint
    assert clients.session(again.endpoint).client("s3").list_buckets()["Buckets"][0]["Name"] == "kept"


def test_a_shell_in_the_packages_folder_is_not_killed(own_state: Path) -> None:
    folder = StateFolder(own_state)
    place = folder.data / "packages" / "code"
    place.mkdir(parents=True)
    stray = {**os.environ, "LAMBDA_TASK_ROOT": str(place)}
    with (
        subprocess.Popen(["sleep", "300"], cwd=place) as shell,
        subprocess.Popen(["sleep", "300"], cwd="/", env=stray) as left_behind,
    ):
        # Before exec, the child has the environment of its parent.
        eventually(lambda: "LAMBDA_TASK_ROOT" in psutil.Process(left_behind.pid).environ())
        lifecycle.stop_leftover_processes(folder)
        assert not alive(left_behind.pid)
        assert shell.poll() is None
        shell.kill()


@pytest.mark.parametrize("endpoint", ["4566", "http://", "localhost:4566", "http://127.0.0.1:99999"])
def test_an_invalid_endpoint_does_not_respond(endpoint: str) -> None:
    assert not lifecycle.responds(endpoint)


def test_a_proxy_is_not_used_for_this_machine(cloud: lifecycle.Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert lifecycle.responds(cloud.endpoint)
    assert clients.session(cloud.endpoint).client("sts").get_caller_identity()["Account"] == "000000000000"


@pytest.mark.parametrize("text", ["", "http", "0", "70000"])
def test_an_invalid_port_is_reported(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLESS_PORT", text)
    with pytest.raises(lifecycle.CloudError, match="is not a port number"):
        lifecycle.chosen_port()
