"""The cloud comes up and goes down whatever happened before, and takes with it all that it started and nothing else."""

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


def test_up_is_idempotent_and_down_leaves_neither_process_nor_port(own_state: Path) -> None:
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
    assert not alive(child)  # what a function had detached is found by where it works


def test_a_strangers_port_is_named_with_the_way_out(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_PORT_GRACE", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(lifecycle.CloudError, match=rf"port {port} .*DRIFTLESS_PORT"):
            lifecycle.up(own_state, port)


def test_a_recycled_process_number_is_never_stopped(own_state: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as stranger:
        own_state.mkdir()
        record = {"pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time() - 60, "port": free_port()}
        (own_state / "cloud.json").write_text(json.dumps(record))
        assert not lifecycle.down(own_state)
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_whose_record_is_lost_is_still_found(own_state: Path) -> None:
    started = lifecycle.up(own_state, free_port())
    (own_state / "cloud.json").unlink()
    assert lifecycle.up(own_state) == started
    assert lifecycle.down(own_state)
    assert started.pid is not None
    assert not alive(started.pid)


def test_two_starts_at_once_give_one_server(own_state: Path) -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: lifecycle.up(own_state, port), range(2))
    assert first == second


def test_a_start_that_is_killed_is_no_obstacle_to_the_next(own_state: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "local_cloud", "up", "--state", str(own_state), "--port", str(port)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        eventually(StateFolder(own_state).log.exists)
        starter.kill()
    cloud = lifecycle.up(own_state, port)
    assert lifecycle.answers(cloud.endpoint)
    assert servers(own_state) == [cloud.pid]


def servers(state: Path) -> list[int]:
    """The processes that serve a folder, or are about to."""
    commands = {process.pid: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, command in commands.items() if {str(state), "local_cloud.server"} <= set(command) and alive(pid)]


def test_a_server_too_young_to_be_found_is_the_one_that_serves(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its starter was killed: the next one finds a free port and no process, and spawns a second server in vain."""
    port = free_port()
    first = lifecycle.up(own_state, port)
    find, looks = StateFolder.server, itertools.count()
    monkeypatch.setattr(StateFolder, "server", lambda folder: find(folder) if next(looks) else None)
    monkeypatch.setattr(lifecycle, "_comes_free", lambda port: True)
    assert lifecycle.up(own_state, port) == first
    assert servers(own_state) == [first.pid]


def test_a_server_that_ignores_sigterm_is_killed(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_STOP_DEADLINE", 0.5)
    cloud = lifecycle.up(own_state, free_port())
    assert cloud.pid is not None
    os.kill(cloud.pid, signal.SIGSTOP)
    assert lifecycle.down(own_state)
    assert not alive(cloud.pid)


def test_a_server_that_nobody_looks_after_has_ended_all_the_same() -> None:
    """In a container the first process may look after no orphans; here the parent does not look after its child."""
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


def test_the_persons_own_endpoint_is_used_and_nothing_started(
    cloud: lifecycle.Cloud, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    assert lifecycle.up(own_state) == lifecycle.Cloud(cloud.endpoint, ours=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(lifecycle.CloudError, match="nothing answers at AWS_ENDPOINT_URL"):
        lifecycle.up(own_state)
    assert not own_state.exists()


def test_a_cloud_of_other_code_is_started_again_where_it_was(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``git pull``, ``up`` runs what the checkout is now, and what the cloud held is there."""
    first = lifecycle.up(own_state, free_port())
    clients.session(first.endpoint).client("s3").create_bucket(Bucket="kept")
    assert lifecycle.up(own_state).pid == first.pid
    monkeypatch.setattr(lifecycle, "code_digest", lambda enforce_iam: "what was pulled")
    again = lifecycle.up(own_state)
    assert again.pid != first.pid
    assert again.endpoint == first.endpoint
    assert clients.session(again.endpoint).client("s3").list_buckets()["Buckets"][0]["Name"] == "kept"


def test_a_persons_shell_among_the_packages_is_no_stray(own_state: Path) -> None:
    folder = StateFolder(own_state)
    place = folder.data / "packages" / "code"
    place.mkdir(parents=True)
    stray = {**os.environ, "LAMBDA_TASK_ROOT": str(place)}
    with (
        subprocess.Popen(["sleep", "300"], cwd=place) as shell,
        subprocess.Popen(["sleep", "300"], cwd="/", env=stray) as left_behind,
    ):
        # Until it is executed, it has the environment of the one it was forked from.
        eventually(lambda: "LAMBDA_TASK_ROOT" in psutil.Process(left_behind.pid).environ())
        lifecycle.stop_strays(folder)
        assert not alive(left_behind.pid)
        assert shell.poll() is None
        shell.kill()


@pytest.mark.parametrize("endpoint", ["4566", "http://", "localhost:4566", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_answers_nothing(endpoint: str) -> None:
    assert not lifecycle.answers(endpoint)


def test_a_proxy_for_the_world_is_not_asked_about_this_machine(cloud: lifecycle.Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert lifecycle.answers(cloud.endpoint)
    assert clients.session(cloud.endpoint).client("sts").get_caller_identity()["Account"] == "000000000000"


@pytest.mark.parametrize("text", ["", "http", "0", "70000"])
def test_a_port_that_is_no_number_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLESS_PORT", text)
    with pytest.raises(lifecycle.CloudError, match="is not a port number"):
        lifecycle.chosen_port()
