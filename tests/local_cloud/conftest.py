"""The embedded cloud that these tests share, on a free port, and helpers to call it and to create functions."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from local_cloud import clients, lifecycle

T = TypeVar("T")
ROLE = "arn:aws:iam::000000000000:role/test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(read: Callable[[], T], *, deadline: float = 60.0) -> T:
    """Read until the value is truthy; fail with the last value after so many seconds."""
    end = time.monotonic() + deadline
    while not (value := read()):
        assert time.monotonic() < end, f"not seen within {deadline} s; last value: {value!r}"
        time.sleep(0.02)
    return value


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Answer:
    error: str | None
    payload: Any
    log: str


class Functions:
    """Make functions and invoke them, as a client would."""

    def __init__(self, endpoint: str) -> None:
        self.client = clients.session(endpoint).client("lambda")

    def create(self, body: str, **settings: Any) -> str:
        """Create a function whose module is ``handler.py`` and return its name."""
        name = f"f-{uuid.uuid4().hex[:12]}"
        given = {"Timeout": 10, "MemorySize": 256, "Handler": "handler.handler", **settings}
        code = {"ZipFile": archive({"handler.py": body})}
        self.client.create_function(FunctionName=name, Runtime="python3.11", Role=ROLE, Code=code, **given)
        self.ready(name)
        return name

    def update(self, name: str, body: str) -> None:
        self.client.update_function_code(FunctionName=name, ZipFile=archive({"handler.py": body}))
        self.ready(name)

    def layer(self, files: dict[str, str]) -> str:
        published = self.client.publish_layer_version(LayerName=f"l-{uuid.uuid4().hex[:8]}", Content={"ZipFile": archive(files)})
        return str(published["LayerVersionArn"])

    def invoke(self, name: str, event: Any = None) -> Answer:
        response = self.client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
        tail = base64.b64decode(response.get("LogResult", "")).decode()
        return Answer(response.get("FunctionError"), json.loads(response["Payload"].read()), tail)

    def ready(self, name: str) -> None:
        def settled() -> bool:
            config = self.client.get_function_configuration(FunctionName=name)
            return bool(config["State"] == "Active" and config["LastUpdateStatus"] == "Successful")

        eventually(settled)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lifecycle.Cloud]:
    state = tmp_path_factory.mktemp("cloud")
    started = lifecycle.up(state, free_port())
    yield started
    lifecycle.down(state)


@pytest.fixture(scope="session")
def functions(cloud: lifecycle.Cloud) -> Functions:
    return Functions(cloud.endpoint)


@pytest.fixture
def own_state(tmp_path: Path) -> Iterator[Path]:
    """A state folder for a test that starts and kills a cloud of its own."""
    state = tmp_path / "cloud"
    yield state
    lifecycle.down(state)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    os.kill(pid, 9)
    eventually(lambda: not alive(pid))
