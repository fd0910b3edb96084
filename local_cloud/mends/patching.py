"""How a mend takes hold of the emulator.

A mend replaces private names of one pinned MiniStack release. Private names may vanish in the next one, and a mend
that quietly replaces nothing is worse than none, so each mend lists what it replaces and :func:`require` checks the
list before anything is touched. Modules are reached by name, never imported by statement, because MiniStack ships no
types and imports its services lazily.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from local_cloud.emulator import EXPECTED_VERSION, EmulatorMismatch, module


def service(name: str) -> ModuleType:
    """Return MiniStack's module of one service, such as ``"lambda_svc"``."""
    return module(f"services.{name}")


def core(name: str) -> ModuleType:
    """Return one module of ``ministack.core``."""
    return module(f"core.{name}")


def _missing(target: str) -> EmulatorMismatch:
    return EmulatorMismatch(
        f"{target} does not exist in the installed MiniStack; "
        f"the mends need ministack=={EXPECTED_VERSION} exactly, or have to be brought up to date"
    )


def _owner_and_attribute(target: str) -> tuple[Any, str]:
    """Split a dotted target into the object that holds it and the attribute's name."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:-1]:
            if not hasattr(owner, part):
                raise _missing(target)
            owner = getattr(owner, part)
        if not hasattr(owner, parts[-1]):
            raise _missing(target)
        return owner, parts[-1]
    raise _missing(target)


def require(targets: Iterable[str]) -> None:
    """Check that every dotted name exists.

    Raises
    ------
    EmulatorMismatch
        For the first name that does not.
    """
    for target in targets:
        _owner_and_attribute(target)


def replace(target: str, replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Put ``replacement`` in the place of a dotted name and return what was there.

    Raises
    ------
    EmulatorMismatch
        When the name does not exist.
    """
    owner, attribute = _owner_and_attribute(target)
    original: Callable[..., Any] = getattr(owner, attribute)
    setattr(owner, attribute, replacement)
    return original
