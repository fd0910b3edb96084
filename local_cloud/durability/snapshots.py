"""The control plane on disk: each service's state in one file, written soon after it changed.

Requests that change something mark their service, and a thread saves what is marked. A CloudFormation operation marks
everything until it has ended, because it creates resources of every kind inside the process. All of it is copied in one
step on the server's loop, where that operation runs too, so that a stack on disk names what exists and nothing exists
twice after a repetition; the stack is written last. Step Functions is saved while anything runs. Whatever could not be
saved stays marked, and a state that has grown large is saved less often: saving takes one part in twenty of the time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from local_cloud import emulator

_log = logging.getLogger("local_cloud.durability")

_TICK = 0.5  # seconds between two looks at what has changed
_STACK_TICK = 2.0  # seconds between two snapshots of everything while a stack operation runs
_SHARE = 20  # a service is left alone for so many times as long as saving it kept the processor busy
_RETRY = 5.0  # seconds after a save that failed
_ATTEMPTS = 5  # a state may change while it is copied
_READS = ("Describe", "Get", "List", "Head", "Filter", "Lookup", "Search", "Simulate", "Test", "Validate", "Poll")
_FREQUENT = frozenset(
    {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "Publish"),
        *("PutLogEvents", "PutMetricData", "PutEvents", "ChangeMessageVisibility", "Sign", "Verify", "Encrypt"),
        *("Decrypt", "GenerateDataKey", "AssumeRole"),
    }
)
_FAILURES = (OSError, TypeError, ValueError, RuntimeError, LookupError, AttributeError)
# Copied before the others, not on the loop: too large to hold it up, and what a stack makes there can be made again.
_LARGE = ("cloudwatch_logs", "cloudwatch_metrics")
# Saved by whoever is about to depend on a change, too.
_PROMPT = frozenset({"s3", "dynamodb", "stepfunctions", "sqs"})
# Saved with the copies: a table or a bucket that its stack does not know yet is in the way when the stack is made again.
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
    """Save services' states, at once or soon.

    Parameters
    ----------
    folder : Path
        Where MiniStack keeps its state files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layers = folder / "layers"
        self._layers.mkdir(parents=True, exist_ok=True)
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
        self._digests: dict[int, tuple[bytes, str]] = {}
        self._when_saved: dict[str, Callable[[], None]] = {"lambda": self._forget_archives}
        self._archives: set[str] = set()
        self._prune: Callable[[Collection[str]], None] = lambda archives: None

    def install(self) -> None:
        """Watch requests, and make layers part of the state as references rather than bytes."""
        dispatch = emulator.original(self._application, "_dispatch_service_request")

        async def dispatch_and_mark(method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> Any:
            response = await dispatch(method, path, headers, body, *rest)
            if response[0] < 300:
                self._mark(method, path, headers, body)
            return response

        emulator.replace(self._application, "_dispatch_service_request", dispatch_and_mark)
        emulator.replace(self._application, "_build_persistence_save_dict", self._states)
        service = emulator.module("services.lambda_svc")
        self._blobs = emulator.original(service, "CODE_BLOB_DIR")
        state_of_functions = emulator.original(service, "get_state")
        load = emulator.original(service, "load_persisted_state")
        # Blobs are content-addressed; removing one before the file that no longer names it is in place would lose it.
        emulator.replace(service, "_prune_orphan_code_blobs", self._remember_archives)
        emulator.replace(service, "get_state", lambda: self._with_layer_references(state_of_functions()))
        emulator.replace(service, "load_persisted_state", lambda data: load(self._with_layer_bytes(data)))

    def when_archives_change(self, prune: Callable[[Collection[str]], None]) -> None:
        """Have something called with the digests of all code and layers after each time that functions were saved."""
        self._prune = prune

    def add(self, name: str, get_state: Callable[[], Any]) -> None:
        """Have a state saved that is not one service's whole; its file is restored into that service when it starts."""
        self._more_states[name] = get_state

    def _states(self) -> dict[str, Callable[[], Any]]:
        return {**self._of_services(), **self._more_states}

    def start(self) -> None:
        """Begin to save what is marked; called on the server's loop."""
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
            return  # the next start imports a service for each file, so an unused one gets none
        wrapped = {"__ministack_format__": self._format_version(name), "payload": state}
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_text(json.dumps(wrapped, default=self._encode))
        unfinished.replace(path)
        if name in self._when_saved:
            self._when_saved[name]()

    def when_saved(self, name: str, call: Callable[[], None]) -> None:
        """Have something called after each time that a service's state is in its place."""
        self._when_saved[name] = call

    def save_everything(self) -> None:
        """Write the state of every service, stacks last; called on the server's loop while nothing is served."""
        for name in sorted(self._states(), key=lambda name: name == "cloudformation"):
            self.save(name)

    def _save_all_parts_of_stacks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write the state of every service as it is at one moment, while stacks change."""
        for name in _LARGE:
            self.save(name)
        copies = asyncio.run_coroutine_threadsafe(self._copies(), loop).result()
        # Those that are saved as soon as they change as well may be newer than the rest, and never older than they were.
        for name in _PROMPT.difference(_ON_THE_LOOP):
            self.save(name)
        for name in sorted(copies, key=lambda name: name == "cloudformation"):
            self._write(name, copies[name])

    async def _copies(self) -> dict[str, Any]:
        """Copy what a stack operation changes, between two of its steps, and save the tables and buckets that belong to it."""
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
        """Have services saved soon."""
        with self._marks:
            self._marked.update(names)

    def watch(self, changed: Callable[[], str | None]) -> None:
        """Have something called at every look at what has changed, which returns the service to save."""
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
        """Save what is marked and due; return whether all of it could be saved. What could not stays marked."""
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
        """Save one marked service; if that fails, it stays marked, and the others are saved all the same."""
        with self._marks:
            self._marked.discard(name)
        # The work itself: a save that waited for a lock or for the processor says nothing about how large the state is.
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

    def _with_layer_references(self, state: dict[str, Any]) -> dict[str, Any]:
        for layer in state["layers"]._data.values():
            for version in layer["versions"]:
                content = version.get("_zip_data")
                if isinstance(content, bytes):
                    version["_zip_data"] = {"layer": self._stored(content)}
        return state

    def _with_layer_bytes(self, state: dict[str, Any]) -> dict[str, Any]:
        for layer in state["layers"]._data.values():
            for version in layer["versions"]:
                reference = version.get("_zip_data")
                if isinstance(reference, dict):
                    version["_zip_data"] = (self._layers / reference["layer"]).read_bytes()
        return state

    def _remember_archives(self, referenced: set[str]) -> None:
        """Called where MiniStack would remove the blobs of code that no function has; layers are added after it."""
        self._archives = set(referenced)

    def _forget_archives(self) -> None:
        """Remove code and layers that the state on disk no longer names."""
        for path in (*Path(self._blobs).glob("*.zip"), *self._layers.iterdir()):
            if path.stem not in self._archives:
                path.unlink()
        self._digests = {key: known for key, known in self._digests.items() if known[1] in self._archives}
        self._prune(self._archives)

    def _stored(self, content: bytes) -> str:
        known = self._digests.get(id(content))
        if known is None or known[0] is not content:
            digest = hashlib.sha256(content).hexdigest()
            path = self._layers / digest
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                unfinished.write_bytes(content)
                unfinished.replace(path)
            known = self._digests[id(content)] = (content, digest)
        self._archives.add(known[1])
        return known[1]


def _copied(get_state: Callable[[], Any]) -> Any:
    """Copy a state that other threads may be changing."""
    for _ in range(_ATTEMPTS):
        try:
            return get_state()
        except RuntimeError:  # a dictionary changed its size under the copy
            time.sleep(0.01)
    return get_state()


def _holds_anything(state: Any) -> bool:
    """Whether any of a service's stores has an entry; scoped stores look empty outside a request."""
    return any(getattr(store, "_data", store) for store in state.values())


def _signing_name(headers: dict[str, str]) -> str:
    """Return the service a request was signed for: ``…/us-east-1/ssm/aws4_request``."""
    scope = headers.get("authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) > 3 else ""


def _operation(headers: dict[str, str], body: bytes) -> str:
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        return parse_qs(body[:4096].decode("utf-8", errors="replace")).get("Action", [""])[0]
    return ""
