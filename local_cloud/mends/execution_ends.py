"""Step Functions: an execution ends once, and its final status appears together with its output and last event.

Restores the behaviour of the AWS documentation pages "DescribeExecution" and "GetExecutionHistory": when a caller sees
the final status of an execution, its output or error, the last event of its history and that event's log line exist.
MiniStack sets the status before all of these, and an execution that is stopped while it succeeds ends twice. Here the
first thread that sets a final status claims it, and the status becomes visible when everything else exists.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from local_cloud.mends.patching import core, replace, require, service

_NAME = "ministack.services.stepfunctions"
TARGETS = (
    f"{_NAME}._add_event",
    f"{_NAME}._stop_execution",
    f"{_NAME}._executions._data",
    f"{_NAME}._ExecutionError",
)

_LAST = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


class Execution(dict[str, Any]):
    """An execution whose final status becomes visible by :meth:`show_end`, not when it is set."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.lock = threading.RLock()
        self._end: str | None = None

    def __setitem__(self, name: str, value: Any) -> None:
        if name != "status":
            super().__setitem__(name, value)
            return
        with self.lock:
            if self._end is not None:
                raise _ended(self._end)
            self._end = value

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        plain = dict(self)
        if self.over:
            plain["status"] = self._end
        return copy.deepcopy(plain, memo)

    @property
    def over(self) -> bool:
        """Whether the history has its final event."""
        return any(event["type"] in _LAST for event in self["events"][-1:])

    def refuse_if_over(self) -> None:
        """Stop a thread that still works for an execution that has ended.

        Raises
        ------
        _ExecutionError
            MiniStack's error; no retrier and no catcher handles it.
        """
        if self.over:
            raise _ended(str(self._end))

    def show_end(self) -> None:
        """Make the final status visible, if one was set."""
        if self._end is not None:
            super().__setitem__("status", self._end)


class Executions(dict[Any, Any]):
    """The store of executions, which wraps each one. Items of a distributed map have no history and are not wrapped."""

    def __setitem__(self, key: Any, execution: dict[str, Any]) -> None:
        watched = execution["status"] == "RUNNING" and bool(execution["events"])
        super().__setitem__(key, Execution(execution) if watched else execution)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return copy.deepcopy(dict(self), memo)


def _ended(status: str) -> Exception:
    error: Exception = service("stepfunctions")._ExecutionError("States.Runtime", f"The execution is {status}")
    return error


def claim(execution: dict[str, Any], status: str) -> bool:
    """End an execution with a status; return False if it has ended already."""
    if execution["status"] != "RUNNING":
        return False
    try:
        execution["status"] = status
    except service("stepfunctions")._ExecutionError:
        return False
    return True


def _add_event(original: Callable[..., Any]) -> Callable[..., Any]:
    def add(execution: dict[str, Any], event_type: str, details: dict[str, Any] | None = None) -> Any:
        if not isinstance(execution, Execution):
            return original(execution, event_type, details)
        with execution.lock:
            execution.refuse_if_over()
            try:
                return original(execution, event_type, details)
            finally:
                if event_type in _LAST:
                    execution.show_end()

    return add


def _stop_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the error for an ended execution if it ends during the call."""

    def stop(data: dict[str, Any]) -> Any:
        try:
            return original(data)
        except service("stepfunctions")._ExecutionError:
            return core("responses").error_response_json("ValidationException", "Execution is not running", 400)

    return stop


def apply() -> None:
    """Delay final statuses; apply after all mends that add to the events of an execution or log them."""
    require(TARGETS)
    machines = service("stepfunctions")
    replace(f"{_NAME}._add_event", _add_event(machines._add_event))
    replace(f"{_NAME}._stop_execution", _stop_execution(machines._stop_execution))
    machines._executions._data = Executions(machines._executions._data)
