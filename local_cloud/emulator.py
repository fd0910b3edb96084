"""The only module that imports MiniStack, and the functions that replace its private names.

Private names may change with each release. So the exact version is pinned and checked before anything is replaced, and
every name is looked up when it is replaced. If a name does not exist, the server does not start, and the error says
which name is missing and what to do.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

EXPECTED_VERSION = "1.5.33"


class EmulatorMismatch(RuntimeError):
    """The installed MiniStack is not the release that the mends replace names of."""


def require_version() -> None:
    """Check that the installed MiniStack is exactly the pinned one.

    Raises
    ------
    EmulatorMismatch
        If MiniStack is missing or has another version.
    """
    try:
        installed = version("ministack")
    except PackageNotFoundError as error:
        raise EmulatorMismatch(f"MiniStack is not installed; install ministack=={EXPECTED_VERSION}") from error
    if installed != EXPECTED_VERSION:
        raise EmulatorMismatch(
            f"MiniStack {installed} is installed, but the embedded cloud replaces private names of {EXPECTED_VERSION}; "
            f"install ministack=={EXPECTED_VERSION}"
        )


def module(name: str) -> ModuleType:
    """Import one MiniStack module, such as ``services.lambda_svc``."""
    return importlib.import_module(f"ministack.{name}")


def loaded(name: str) -> ModuleType | None:
    """Return a MiniStack module if it was imported; services are imported at their first request."""
    return sys.modules.get(f"ministack.{name}")


def original(owner: ModuleType | type, name: str) -> Any:
    """Return the attribute ``name`` of a MiniStack module or class.

    Raises
    ------
    EmulatorMismatch
        If it does not exist.
    """
    try:
        return getattr(owner, name)
    except AttributeError as error:
        raise EmulatorMismatch(
            f"{owner.__name__}.{name} does not exist in the installed MiniStack; "
            f"the embedded cloud needs ministack=={EXPECTED_VERSION} exactly"
        ) from error


def replace(owner: ModuleType | type, name: str, replacement: Any) -> Any:
    """Replace an existing attribute and return the original.

    Raises
    ------
    EmulatorMismatch
        If the attribute does not exist.
    """
    before = original(owner, name)
    setattr(owner, name, replacement)
    return before
