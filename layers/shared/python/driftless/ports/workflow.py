"""Executions of one state machine."""

from __future__ import annotations

from typing import Any, Protocol


class Workflow(Protocol):
    """Starts and lists executions of one state machine."""

    def start(self, name: str, payload: dict[str, Any]) -> str:
        """Execution ARN. Starting the same name again starts nothing and returns the ARN of the first execution."""

    def running(self) -> list[str]:
        """Names of the executions that are running."""
