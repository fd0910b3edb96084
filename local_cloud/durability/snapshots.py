"""The control plane on disk: each service's state in one file, saved shortly after a change.

A request that changes something marks its service, and a thread saves the marked services. A CloudFormation operation
marks all services until it has ended, because it creates resources of every kind inside the process. All states are then
copied in one step on the server's loop, where that operation runs too, and the stack is written last. So a stack on disk
names only resources that are on disk, and a repeated operation does not create a resource twice. Step Functions is saved
while executions run. A service that could not be saved stays marked. A large state is saved less often, so that saving
takes at most about a twentieth of the time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from local_cloud import emulator

_log = logging.getLogger("local_cloud.durability")

_TICK = 0.5  # seconds between two checks for changes
_STACK_TICK = 2.0  # seconds between two snapshots of everything while a stack operation runs
_SHARE = 20  # after a save, a service is not saved for this multiple of the save's processor time
_RETRY = 5.0  # seconds after a save that failed
_ATTEMPTS = 5  # copies; a state may change while it is copied
_READS = ("Describe", "Get", "List", "Head", "Filter", "Lookup", "Search", "Simulate", "Test", "Validate", "Poll")
_FREQUENT = frozenset(
    {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "Publish"),
        *("PutLogEvents", "PutMetricData", "PutEvents", "ChangeMessageVisibility", "Sign", "Verify", "Encrypt"),
        *("Decrypt", "GenerateDataKey", "AssumeRole"),
    }
)
_FAILURES = (OSError, TypeError, ValueError, RuntimeError, LookupError, AttributeError)
# Copied before the others and not on the loop, which they would block. A stack can create its log groups again.
_LARGE = ("cloudwatch_logs", "cloudwatch_metrics")
# Also saved at once, by a request that depends on a change.
_PROMPT = frozenset({"s3", "dynamodb", "stepfunctions", "sqs"})
# Saved with the copies: a table or bucket on disk that its stack does not name would block the stack's next creation.
_ON_THE_LOOP = ("dynamodb", "s3")
_STATE_KEYS = {
    "states": ("stepfunctions",),
    "events": ("eventbridge",),
    "monitoring": ("cloudwatch",),
    "logs": ("cloudwatch_logs",),
    "apigateway": ("apigateway", "apigateway_v1"),
    "lambda": ("lambda",),
    "execute-api": (),
    "s3": (),
    "dynamodb": (),
}


class Snapshots:
    """Save services' states, at once or shortly after a change.

    Parameters
    ----------
    folder : Path
        The folder of MiniStack's state files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._application = emulator.module("app")
        persistence = emulator.module("core.persistence")
        self._encode: Callable[[Any], Any] = emulator.original(persistence, "_json_default")
        self._format_version: Callable[[str], int] = emulator.original(persistence, "_state_format_version")
        self._of_services: Callable[[], dict[str, Callable[[], Any]]] = emulator.original(
            self._application, "_build_persistence_save_dict"
        )
        self._more_states: dict[str, Callable[[], Any]] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._marks = threading.Lock()
        self._marked: set[str] = set()
        self._everything = False
        self._not_before: dict[str, float] = {}
        self._watched: list[Callable[[], str | None]] = []
        self._seen_executions: list[tuple[str, str, int]] = []
        self._saved_all = 0.0
        self._when_saved: dict[str, Callable[[], None]] = {}

    def install(self) -> None:
        """Watch requests, and save the additional states when the application stops."""
        dispatch = emulator.original(self._application, "_dispatch_service_request")

        async def dispatch_and_mark(method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> Any:
            response = await dispatch(method, path, headers, body, *rest)
            if response[0] < 300:
                self._mark(method, path, headers, body)
            return response

        emulator.replace(self._application, "_dispatch_service_request", dispatch_and_mark)
        emulator.replace(self._application, "_build_persistence_save_dict", self._states)

    def add(self, name: str, get_state: Callable[[], Any]) -> None:
        """Register an additional state file; the service that it belongs to loads it at the start."""
        self._more_states[name] = get_state

    def _states(self) -> dict[str, Callable[[], Any]]:
        return {**self._of_services(), **self._more_states}

    def start(self) -> None:
        """Start to save marked services; called on the server's loop."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(loop,), daemon=True, name="snapshots").start()

    def save(self, name: str) -> None:
        """Write one service's state now."""
        get_state = self._states().get(name)
        if get_state is None:
            return
        with self._locks[name]:
            self._write(name, _copied(get_state))

    def _write(self, name: str, state: Any) -> None:
        path = self._folder / f"{name}.json"
        if state is None or not (path.exists() or _holds_anything(state)):
            return  # the next start imports a service for each file, so an unused service gets no file
        wrapped = {"__ministack_format__": self._format_version(name), "payload": state}
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_text(json.dumps(wrapped, default=self._encode))
        unfinished.replace(path)
        if name in self._when_saved:
            self._when_saved[name]()

    def when_saved(self, name: str, call: Callable[[], None]) -> None:
        """Register a call after each save of a service."""
        self._when_saved[name] = call

    def save_everything(self) -> None:
        """Save every service, stacks last; called on the server's loop while no request is served."""
        for name in sorted(self._states(), key=lambda name: name == "cloudformation"):
            self.save(name)

    def _save_all_parts_of_stacks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Save the state of every service at one moment, while stacks change."""
        for name in _LARGE:
            self.save(name)
        copies = asyncio.run_coroutine_threadsafe(self._copies(), loop).result()
        # Services that are also saved at once may be newer than the copies, but never older than their last save.
        for name in _PROMPT.difference(_ON_THE_LOOP):
            self.save(name)
        for name in sorted(copies, key=lambda name: name == "cloudformation"):
            self._write(name, copies[name])

    async def _copies(self) -> dict[str, Any]:
        """Copy the states between two steps of a stack operation, and save the tables and buckets."""
        for name in _ON_THE_LOOP:
            self.save(name)
        states = self._states()
        return {name: _copied(states[name]) for name in states if name not in _LARGE and name not in _PROMPT}

    def _mark(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if method in ("GET", "HEAD", "OPTIONS") or path.endswith("/invocations"):
            return
        signing_name = _signing_name(headers)
        operation = _operation(headers, body)
        if operation.startswith(_READS) or operation in _FREQUENT:
            return
        if signing_name == "cloudformation":
            self._everything = True
        else:
            self.mark(_STATE_KEYS.get(signing_name, (signing_name,)))

    def mark(self, names: Iterable[str]) -> None:
        """Mark services for the next save."""
        with self._marks:
            self._marked.update(names)

    def watch(self, changed: Callable[[], str | None]) -> None:
        """Register a function that is called at each check for changes and returns a service to save, or None."""
        self._watched.append(changed)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            time.sleep(_TICK)
            try:
                everything_saved = self._save_what_changed(loop)
            except _FAILURES:
                _log.exception("the control plane could not be saved; it is tried again in %g s", _RETRY)
                everything_saved = False
            if not everything_saved:
                time.sleep(_RETRY)

    def _save_what_changed(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Save the marked services that are due; return whether all were saved. The others stay marked."""
        executions = self._executions()
        if executions != self._seen_executions:
            self._seen_executions = executions
            self.mark(["stepfunctions"])
        self.mark([name for changed in self._watched if (name := changed()) is not None])
        busy = self._stack_under_way()
        if self._everything and (not busy or time.monotonic() - self._saved_all > _STACK_TICK):
            self._everything = busy
            with self._marks:
                marked, self._marked = self._marked, set()
            try:
                self._save_all_parts_of_stacks(loop)
            except _FAILURES:
                self._everything = True
                self.mark(marked)
                raise
            self._saved_all = time.monotonic()
        with self._marks:
            due = sorted(name for name in self._marked if self._not_before.get(name, 0.0) <= time.monotonic())
        saved = [self._saved(name) for name in due]
        return all(saved)

    def _saved(self, name: str) -> bool:
        """Save one marked service; if that fails, it stays marked, and the others are still saved."""
        with self._marks:
            self._marked.discard(name)
        # Processor time, not elapsed time: a save that waited for a lock does not mean that the state is large.
        began = time.thread_time()
        try:
            self.save(name)
        except _FAILURES:
            _log.exception("%s could not be saved; it is tried again in %g s", name, _RETRY)
            self.mark([name])
            return False
        self._not_before[name] = time.monotonic() + _SHARE * (time.thread_time() - began)
        return True

    def _executions(self) -> list[tuple[str, str, int]]:
        service = emulator.loaded("services.stepfunctions")
        if service is None:
            return []
        return [
            (execution["executionArn"], execution["status"], len(execution["events"]))
            for execution in list(service._executions._data.values())
        ]

    def _stack_under_way(self) -> bool:
        service = emulator.loaded("services.cloudformation")
        stacks = list(service._stacks._data.values()) if service is not None else []
        return any(
            stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS" for stack in stacks
        )


def _copied(get_state: Callable[[], Any]) -> Any:
    """Copy a state that other threads may change meanwhile."""
    for _ in range(_ATTEMPTS):
        try:
            return get_state()
        except RuntimeError:  # a dictionary changed its size during the copy
            time.sleep(0.01)
    return get_state()


def _holds_anything(state: Any) -> bool:
    """Whether any of a service's stores has an entry; scoped stores appear empty outside a request."""
    return any(getattr(store, "_data", store) for store in state.values())


def _signing_name(headers: dict[str, str]) -> str:
    """Return the service in a request's credential scope: ``…/us-east-1/ssm/aws4_request``."""
    scope = headers.get("authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) > 3 else ""


def _operation(headers: dict[str, str], body: bytes) -> str:
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        return parse_qs(body[:4096].decode("utf-8", errors="replace")).get("Action", [""])[0]
    return ""
