"""Step Functions: an execution that was started is there after a crash, if only to be run again.

A start is journalled before it is answered, whoever started it. Histories are saved with the other snapshots, shortly
after they changed; a start that the last snapshot lacks is shown as what it then is, an execution that was cut short.
An execution of a state machine that the snapshot does not know takes a new snapshot instead.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.journal import Journal
from local_cloud.durability.snapshots import Snapshots


class Executions:
    """Journal of starts, and the snapshot that continues it.

    Parameters
    ----------
    folder : Path
        Where the journal lies.
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, folder: Path, snapshots: Snapshots) -> None:
        self._journal = Journal(folder)
        self._snapshots = snapshots
        self._service = emulator.module("services.stepfunctions")
        self._responses = emulator.module("core.responses")
        self._start = emulator.original(self._service, "_start_execution")
        self._get_state = emulator.original(self._service, "get_state")
        for name in ("_executions", "_state_machines"):
            emulator.original(self._service, name)
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._first = 0
        self._copied = (self._first, self._known)

    def install(self) -> None:
        """Take the place of the service's start of executions, and of the state it saves."""
        emulator.replace(self._service, "_start_execution", self.start)
        emulator.replace(self._service, "get_state", self.state)
        load = emulator.original(self._service, "load_persisted_state")

        def restore(data: dict[str, Any]) -> None:
            self._first = int(data.get("journal", 0))
            load(data)

        emulator.replace(self._service, "load_persisted_state", restore)
        self._snapshots.when_saved("stepfunctions", self._saved)

    def start(self, data: dict[str, Any]) -> Any:
        """Start an execution, and return only when it will survive."""
        response = self._start(data)
        if response[0] < 300:
            execution = self._service._executions[json.loads(response[2])["executionArn"]]
            if execution["stateMachineArn"] in self._known:
                record = {**execution, "status": "RUNNING", "output": None, "events": execution["events"][:1]}
                scope = {"account": self._responses.get_account_id(), "region": self._responses.get_region()}
                with self._lock:
                    self._journal.append(json.dumps({**scope, "execution": record}, default=str).encode())
            else:
                self._snapshots.save("stepfunctions")
        return response

    def state(self) -> dict[str, Any]:
        """Return the service's state together with the number of the journal file that continues it."""
        with self._lock:
            first = self._journal.rotate()
            machines = {machine["stateMachineArn"] for machine in list(self._service._state_machines._data.values())}
            self._copied = (first, machines)
        return {**self._get_state(), "journal": first}

    def _saved(self) -> None:
        """What was copied last is on disk."""
        self._first, self._known = self._copied
        self._journal.forget(self._first)

    def replay(self) -> None:
        """Add the executions that the snapshot lacks."""
        for text in self._journal.read(self._first):
            entry = json.loads(text)
            execution = entry["execution"]
            key = (entry["account"], entry["region"], execution["executionArn"])
            if key not in self._service._executions._data:
                execution.update(status="FAILED", error="States.ServiceRestart", stopDate=self._responses.now_iso())
                self._service._executions._data[key] = execution
