"""Unzipped size of each function, compared with Lambda's limit.

Lambda refuses a function whose code and layers exceed 250 MB unzipped, but only at the end of a deploy. Here the sum is
known at synth, so the refusal comes first and names the layers to blame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

LIMIT_BYTES = 250 * 1024 * 1024
_MIB = 1024 * 1024


class PackageTooLarge(ValueError):
    """A function with its layers would not fit into Lambda."""


def folder_bytes(folder: Path) -> int:
    """Bytes of a folder's files, caches left out as they are left out of the asset."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files)


def check(folder: str, code_bytes: int, layer_bytes: Mapping[str, int]) -> int:
    """Total bytes of a function and its layers.

    Raises
    ------
    PackageTooLarge
        When the total is above the limit; the message lists the parts, heaviest first.
    """
    total = code_bytes + sum(layer_bytes.values())
    if total > LIMIT_BYTES:
        parts = sorted({**layer_bytes, "its own code": code_bytes}.items(), key=lambda part: -part[1])
        listed = ", ".join(f"{name} {size / _MIB:.1f}" for name, size in parts)
        raise PackageTooLarge(
            f"function {folder!r} weighs {total / _MIB:.1f} MB unzipped with its layers ({listed}); Lambda's limit is "
            f"{LIMIT_BYTES // _MIB} MB. Remove a package from layers/<layer>/requirements.in or split the function."
        )
    return total


def table(rows: Iterable[tuple[str, Mapping[str, int], int]]) -> str:
    """A printable table of ``(function, bytes by layer, total bytes)`` beside the limit, in MB."""
    lines = [f"{'function':<14}{'MB':>8}{'limit':>7}  layers"]
    for folder, layers, total in rows:
        parts = " + ".join(f"{name} {size / _MIB:.1f}" for name, size in layers.items())
        lines.append(f"{folder:<14}{total / _MIB:>8.1f}{LIMIT_BYTES // _MIB:>7}  {parts}")
    return "\n".join(lines)
