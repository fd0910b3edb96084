"""Look up and replace MiniStack's private names by dotted target.

A mend replaces private names of one pinned MiniStack release, and the next release may not have them. A mend that
replaces nothing without an error is worse than none. So each mend lists its targets, and :func:`require` checks the
list before the first name is replaced. MiniStack is imported by name, not by statement, because it has no type hints
and imports its services lazily.
"""

from __future__ import annotations

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


def require(targets: Iterable[str]) -> None:
    """Check that every dotted target exists.

    Raises
    ------
    EmulatorMismatch
        For the first target that does not.
    """
    for target in targets:
        _owner_and_attribute(target)


def replace(target: str, replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the attribute at a dotted target, such as ``ministack.app.handler``, and return the original.

    Raises
    ------
    EmulatorMismatch
        When the target does not exist.
    """
    owner, attribute = _owner_and_attribute(target)
    original: Callable[..., Any] = getattr(owner, attribute)
    setattr(owner, attribute, replacement)
    return original


def _owner_and_attribute(target: str) -> tuple[Any, str]:
    """Split a dotted target into the object that has the attribute and the attribute's name."""
    parts = target.removeprefix("ministack.").split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = module(".".join(parts[:cut]))
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


def _missing(target: str) -> EmulatorMismatch:
    return EmulatorMismatch(
        f"{target} does not exist in the installed MiniStack; the mends need ministack=={EXPECTED_VERSION} exactly: "
        "install that release, or update the mend that names the target"
    )
