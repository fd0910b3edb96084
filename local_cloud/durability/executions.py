"""Step Functions: an execution that was started still exists after a crash.

Each start is written to a write-ahead log before its response is sent, whichever service started it. Execution
histories are saved with the other snapshots, shortly after they changed. A start that the last snapshot does not
contain is restored as a failed execution, which can be redriven. A start on a state machine that the last snapshot
does not contain takes a new snapshot instead.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots
from local_cloud.durability.write_ahead_log import LOG_NUMBER, WriteAheadLog


class Executions:
    """The write-ahead log of execution starts, and the snapshot that it continues.

    Parameters
    ----------
    folder : Path
        The log's folder.
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, folder: Path, snapshots: Snapshots) -> None:
        self._log = WriteAheadLog(folder)
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
        """Replace the service's StartExecution and the state that it saves."""
        emulator.replace(self._service, "_start_execution", self.start)
        emulator.replace(self._service, "get_state", self.state)
        load = emulator.original(self._service, "load_persisted_state")

        def restore(data: dict[str, Any]) -> None:
            self._first = int(data.get(LOG_NUMBER, 0))
            load(data)

        emulator.replace(self._service, "load_persisted_state", restore)
        self._snapshots.when_saved("stepfunctions", self._saved)

    def start(self, data: dict[str, Any]) -> Any:
        """Start an execution; it is on disk when this returns."""
        response = self._start(data)
        if response[0] < 300:
            execution = self._service._executions[json.loads(response[2])["executionArn"]]
            if execution["stateMachineArn"] in self._known:
                record = {**execution, "status": "RUNNING", "output": None, "events": execution["events"][:1]}
                scope = {"account": self._responses.get_account_id(), "region": self._responses.get_region()}
                with self._lock:
                    self._log.append(json.dumps({**scope, "execution": record}, default=str).encode())
            else:
                self._snapshots.save("stepfunctions")
        return response

    def state(self) -> dict[str, Any]:
        """Return the service's state with the number of the log file that continues it."""
        with self._lock:
            first = self._log.rotate()
            machines = {machine["stateMachineArn"] for machine in list(self._service._state_machines._data.values())}
            self._copied = (first, machines)
        return {**self._get_state(), LOG_NUMBER: first}

    def _saved(self) -> None:
        """Remove the log files whose records the snapshot on disk contains."""
        self._first, self._known = self._copied
        self._log.remove_before(self._first)

    def replay(self) -> None:
        """Add the executions that the snapshot does not contain."""
        for text in self._log.read(self._first):
            entry = json.loads(text)
            execution = entry["execution"]
            key = (entry["account"], entry["region"], execution["executionArn"])
            if key not in self._service._executions._data:
                execution.update(status="FAILED", error="States.ServiceRestart", stopDate=self._responses.now_iso())
                self._service._executions._data[key] = execution
