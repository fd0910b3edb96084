"""Reading a bucket with what Lambda gives a function with SnapStart: a credentials endpoint and a token, no access keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from driftless.adapters.container_credentials import ContainerCredentials
from driftless.adapters.obstore import ObstoreReader
from driftless.errors import StoreUnavailable

ROOT = Path(__file__).parents[3]


class Sandbox:
    """A credentials endpoint and a bucket on one port; records the requests and their credentials."""

    def __init__(self) -> None:
        self.lifetime = timedelta(hours=6)
        self.status = 200
        self.given = 0
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/2021-07-01/credentials?of=function":
                    outer.requests.append(("credentials", self.headers["Authorization"]))
                    self._respond(outer.status, outer.credentials() if outer.status == 200 else b"no")
                else:
                    outer.requests.append((self.path, self.headers["X-Amz-Security-Token"]))
                    self._respond(200, b"content")

            def _respond(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Last-Modified", "Wed, 01 May 2013 12:00:00 GMT")
                self.send_header("ETag", '"etag"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing on standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def credentials(self) -> bytes:
        self.given += 1
        expiry = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        own = {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": f"session {self.given}", "Expiration": expiry}
        return json.dumps(own).encode()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def snap_started(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """No AWS variable but those that Lambda sets for SnapStart."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", sandbox.url)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{sandbox.url}/2021-07-01/credentials?of=function")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
    return sandbox


def test_credentials_are_requested_once_and_sign_requests(snap_started: Sandbox) -> None:
    reader = ObstoreReader("bucket")
    assert snap_started.requests == []
    assert reader.get("a") == reader.get("b") == b"content"
    assert snap_started.requests == [("credentials", "token"), ("/bucket/a", "session 1"), ("/bucket/b", "session 1")]


@pytest.mark.parametrize("lifetime", [timedelta(minutes=-1), timedelta(minutes=4)])
def test_credentials_that_expire_soon_are_requested_again(snap_started: Sandbox, lifetime: timedelta) -> None:
    snap_started.lifetime = lifetime
    reader = ObstoreReader("bucket")
    reader.get("a")
    reader.get("b")
    assert [who for what, who in snap_started.requests if what != "credentials"] == ["session 1", "session 2"]


def test_access_keys_take_precedence(snap_started: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "plain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "plain session")
    ObstoreReader("bucket").get("a")
    assert snap_started.requests == [("/bucket/a", "plain session")]


def test_an_endpoint_that_failed_is_requested_again(snap_started: Sandbox) -> None:
    snap_started.status = 500
    reader = ObstoreReader("bucket")
    with pytest.raises(StoreUnavailable, match="the credentials endpoint returned 500"):
        reader.get("a")
    snap_started.status = 200
    assert reader.get("a") == b"content"


def test_valid_keys_are_used_while_the_endpoint_fails(snap_started: Sandbox) -> None:
    now = datetime.now(UTC)
    provider = ContainerCredentials(clock=lambda: now)
    assert provider()["token"] == "session 1"
    snap_started.status = 500
    now += timedelta(hours=5, minutes=58)
    assert provider()["token"] == "session 1"
    now += timedelta(minutes=3)
    with pytest.raises(OSError, match="returned 500"):
        provider()
    snap_started.status = 200
    assert provider()["token"] == "session 2"


def test_importing_and_building_open_no_connection(snap_started: Sandbox) -> None:
    program = """
import socket
def refuse(*arguments): raise AssertionError("a connection was opened")
socket.socket.connect = refuse
from driftless.adapters.obstore import ObstoreReader
ObstoreReader("bucket")
"""
    paths = os.pathsep.join((str(ROOT / "layers/shared/python"), str(ROOT)))
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, check=True)
    assert snap_started.requests == []
