"""The Lambda Runtime API of one execution environment.

The runtime client long-polls ``/next``, runs the handler, and posts ``/response`` or ``/error``; after a failed import
it posts ``/init/error``. Each process has its own small server, as in Lambda. Payloads are bytes and never parsed. For
speed, Nagle's algorithm is off and each response is a single write: with two writes, the client's delayed
acknowledgement adds 40 ms to every invocation.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

RESPONSE_LIMIT = 6 * 1024 * 1024 + 100  # bytes; AWS states 6,291,556

_RESULT = re.compile(r"^/2018-06-01/runtime/invocation/([^/]+)/(response|error)$")


@dataclass
class Invocation:
    """One event for an execution environment, and its response."""

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str | None = None
    response: bytes | None = None
    failed: bool = False
    fatal: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, response: bytes, *, failed: bool) -> None:
        """Record the runtime's response and wake the invoker."""
        self.response, self.failed = response, failed
        self.done.set()


def error_payload(error_type: str, message: str) -> bytes:
    """Return an error record as Lambda writes it."""
    return json.dumps({"errorMessage": message, "errorType": error_type}).encode()


class RuntimeApi:
    """Serve the Runtime API on a free loopback port until closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.initialised = threading.Event()
        self.init_error: bytes | None = None
        self._waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: Invocation | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True, name="runtime-api").start()

    def offer(self, invocation: Invocation) -> None:
        """Give an event to the runtime's next poll."""
        with self._lock:
            self._current = invocation
        self._waiting.put(invocation)

    def close(self) -> None:
        """Stop accepting connections, and end a waiting poll."""
        with contextlib.suppress(OSError):  # already closed
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._waiting.put(None)

    def next(self) -> Invocation | None:
        """Wait for the next event; None once the environment is closing."""
        self.initialised.set()
        return self._waiting.get()

    def fail_init(self, body: bytes) -> None:
        """Record that the function's module could not be loaded."""
        self.init_error = body
        self.initialised.set()

    def post(self, request_id: str, body: bytes, *, failed: bool) -> int:
        """Accept the runtime's response and return the HTTP status to reply with."""
        with self._lock:
            current = self._current
            if current is None or current.request_id != request_id:
                return 400
            self._current = None
        if not failed and len(body) > RESPONSE_LIMIT:
            message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
            current.fatal = True  # the runtime client ends its process on this status
            current.finish(error_payload("Function.ResponseSizeTooLarge", message), failed=True)
            return 413
        current.finish(body, failed=failed)
        return 202

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True, name="runtime-api").start()

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with connection:
            try:
                _Handler(connection, peer, cast(Any, self))
            except OSError:
                return  # the process died in the middle of a request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered, so that headers and body leave together

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log."""

    @property
    def _api(self) -> RuntimeApi:
        return cast(RuntimeApi, self.server)

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Reply to ``/next`` with the next event."""
        if self.path != "/2018-06-01/runtime/invocation/next":
            self._reply(404)
            return
        invocation = self._api.next()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        }
        if invocation.trace_id:
            headers["Lambda-Runtime-Trace-Id"] = invocation.trace_id
        self._reply(200, invocation.payload, headers)

    def do_POST(self) -> None:
        """Accept a response, an error, or a failed initialisation."""
        body = self._body()
        if self.path == "/2018-06-01/runtime/init/error":
            self._api.fail_init(body)
            self._reply(202, b'{"status":"OK"}')
            return
        match = _RESULT.match(self.path)
        if match is None:
            self._reply(404)
            return
        status = self._api.post(match.group(1), body, failed=match.group(2) == "error")
        error = error_payload("InvalidRequest", "the request id is not the current one, or the response is too large")
        self._reply(status, b'{"status":"OK"}' if status == 202 else error)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)
