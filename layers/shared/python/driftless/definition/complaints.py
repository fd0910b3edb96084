"""Complaints about ``project.toml``: the key, the line, the reason and the fix.

``tomllib`` keeps no positions, so :func:`line_of` finds a dotted key again by reading table headers and assignments; where a
key is missing it returns the line of the nearest enclosing table, which is where the fix belongs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"""^\s*((?:[A-Za-z0-9_\-."' ])+?)\s*=""")


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def line_of(text: str, key: str) -> int | None:
    """One-based line of a dotted key, of its nearest enclosing table, or None when neither is in the text.

    Indices of arrays of tables (``datasets.flights.rules.1.sql``) count table headers of that name.
    """
    wanted = _parts(key)
    best: tuple[int, int] | None = None
    table: tuple[str, ...] = ()
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header and not line.lstrip().startswith("#"):
            table = _parts(header.group(1))
            if line.lstrip().startswith("[["):
                count = seen.get(header.group(1), 0)
                seen[header.group(1)] = count + 1
                table = (*table, str(count))
            path = table
        else:
            assignment = _ASSIGNMENT.match(line)
            if not assignment or line.lstrip().startswith("#"):
                continue
            path = (*table, *_parts(assignment.group(1)))
        depth = len(path)
        if path == wanted[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def located(key: str, reason: str, fix: str) -> PydanticCustomError:
    """A complaint that knows its fix, and its key within the section that is checked."""
    # Braces in a template would be taken for its fields.
    return PydanticCustomError("located", "{reason}", {"key": key, "reason": reason, "fix": fix})


def describe(error: ValidationError, known: Collection[str]) -> tuple[str, str, str]:
    """``(key, reason, fix)`` of the first complaint of a validation error.

    Parameters
    ----------
    known : collection of str
        Keys that a definition may have, for the nearest spelling of one that it may not.
    """
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    kind, given = first["type"], first.get("input")
    message = (
        first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list").replace("a valid dictionary", "a table")
    )
    message = message.replace("Tuple should", "The list should").replace(" after validation", "")
    if kind == "located":
        context = first["ctx"]
        # A schedule is checked as a value, everything else as a section.
        path = key if key.endswith(f".{context['key']}") else f"{key}.{context['key']}".lstrip(".")
        return path, context["reason"], context["fix"]
    if kind == "missing":
        return key, "the key is required and missing", f"add {key.rsplit('.', 1)[-1]} = … there"
    if kind == "extra_forbidden":
        return key, "no such key", f"remove it, or correct its spelling{_nearest(key, known)}"
    if kind == "value_error":
        return key, message, "change the definition so that this holds"
    return key, f"{message} (got {given!r})", "write a value of that form"


def _nearest(key: str, known: Collection[str]) -> str:
    close = get_close_matches(key.rsplit(".", 1)[-1], sorted(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""
