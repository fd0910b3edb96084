"""Restore the state at the start, and settle the operations that a killed process left unfinished.

A running execution becomes ABORTED and keeps its input and history, so that a rerun can start from it. An unfinished
stack operation has failed. A creation or a deletion is shown as rolled back: CDK deletes the remains of such a stack and
creates it again. An update is shown as rolled back to the last complete template, so the next deployment finds the
difference and applies it again. Resources are not changed: a deployment keeps them, because the stack still names them.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability import expiry, queues, state_files
from local_cloud.durability.code_files import CodeFiles
from local_cloud.durability.executions import Executions
from local_cloud.durability.metrics import Metrics
from local_cloud.durability.objects import Objects
from local_cloud.durability.snapshots import Snapshots
from local_cloud.durability.tables import Tables

_log = logging.getLogger("local_cloud.durability")

_CAUSE = "The embedded cloud stopped while this execution was running"
_STACK_STATUS = {
    "CREATE_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS": "ROLLBACK_COMPLETE",
}


def install(data: Path) -> CodeFiles:
    """Make the services' state durable, restore it when the application starts, and return the code files.

    Parameters
    ----------
    data : Path
        The folder of MiniStack's state.
    """
    application = emulator.module("app")
    snapshots = Snapshots(data / "services")
    objects = Objects(data / "intents", snapshots)
    tables = Tables(data / "journal", snapshots)  # the folder name is on disk, so never renamed
    executions = Executions(data / "executions", snapshots)
    objects.install()
    tables.install()
    executions.install()
    expiry.install()
    queues.install(snapshots)
    Metrics(snapshots).install()
    snapshots.install()
    code = CodeFiles(data / "services" / "layers")
    code.install(snapshots)

    def restore() -> None:
        state_files.load(data / "services")
        tables.replay()
        executions.replay()
        for name, settle in _UNFINISHED.items():
            service = emulator.loaded(name)
            if service is not None:
                settle(service)
        snapshots.save("s3")
        snapshots.save_everything()
        snapshots.start()

    def restore_or_end() -> None:
        """End the process if the state cannot be restored; otherwise the server would continue without it."""
        try:
            restore()
        except state_files.UnusableState as error:
            raise SystemExit(str(error)) from error
        except Exception as error:
            _log.exception("the cloud's state could not be restored")
            raise SystemExit(1) from error

    emulator.replace(application, "_load_persisted_state", restore_or_end)
    return code


def abort_executions(service: Any) -> None:
    """Mark interrupted executions as ABORTED; MiniStack's loader has marked them as failed."""
    for execution in service._executions.all_values():
        if execution.get("error") == "States.ServiceRestart":
            execution.update(status="ABORTED", error="Cloud.Stopped", cause=_CAUSE)
            details = {"executionAbortedEventDetails": {"error": "Cloud.Stopped", "cause": _CAUSE}}
            service._add_event(execution, "ExecutionAborted", details)


def settle_stacks(service: Any) -> None:
    """Give each stack with an interrupted operation the status of a failed operation."""
    for stack in service._stacks._data.values():
        status = stack["StackStatus"]
        if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
            continue
        stack["StackStatus"] = _STACK_STATUS.get(status, "UPDATE_ROLLBACK_COMPLETE")
        stack["StackStatusReason"] = "The embedded cloud stopped during the operation"
        stack["LastUpdatedTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE":
            stack["_template_body"] = json.dumps(stack["_template"])
    for change_set in service._change_sets._data.values():
        if change_set["ExecutionStatus"] == "EXECUTE_IN_PROGRESS":
            change_set["ExecutionStatus"] = "EXECUTE_FAILED"


def settle_functions(service: Any) -> None:
    """Complete the state transitions of functions."""
    for function in service._functions._data.values():
        for record in (function, *function.get("versions", {}).values()):
            config = record["config"]
            if config.get("State") == "Pending":
                config.update(State="Active", StateReason="", StateReasonCode="")
            if config.get("LastUpdateStatus") == "InProgress":
                config.update(LastUpdateStatus="Successful")


_UNFINISHED = {
    "services.stepfunctions": abort_executions,
    "services.cloudformation": settle_stacks,
    "services.lambda_svc": settle_functions,
}
