"""Which tests belong to a part of the repository: ``python -m tests.selection serving`` prints their paths.

A part is a package under ``tests/unit`` or a folder beside it. A capability's tests are those of its package, of the entry
points that compose its steps, and of the architecture.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ENTRY_POINTS = ROOT / "layers/shared/python/driftless/entrypoint"
CAPABILITIES = ("data", "evaluation", "monitoring", "registry", "serving", "training")


class UnknownPart(ValueError):
    """No tests belong to this name."""


def parts() -> dict[str, list[Path]]:
    """Test folders and files by the part's name."""
    unit = {folder.name: [folder] for folder in _folders(TESTS / "unit")}
    wings = {folder.name: [folder] for folder in _folders(TESTS) if folder.name not in ("unit", "bench")}
    found = {**unit, **wings}
    for name in CAPABILITIES:
        found[name] = [TESTS / "unit" / name, *entry_points(name), TESTS / "architecture"]
    return found


def _folders(parent: Path) -> list[Path]:
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and any(entry.rglob("test_*.py")))


def entry_points(capability: str) -> list[Path]:
    """Test files of the entry points that import a capability."""
    files = sorted((TESTS / "unit/entrypoint").glob("test_*.py"))
    return [path for path in files if _imports(ENTRY_POINTS / path.name.removeprefix("test_"), capability)]


def _imports(module: Path, capability: str) -> bool:
    if not module.is_file():
        return False
    found = [node.module or "" for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ImportFrom)]
    return any(f"{name}.".startswith(f"driftless.{capability}.") for name in found)


def select(name: str) -> list[str]:
    """Paths of a part's tests, relative to the repository.

    Raises
    ------
    UnknownPart
        When no part has this name; the message lists the known ones.
    """
    known = parts()
    if name not in known:
        raise UnknownPart(f"no tests for ONLY={name}; known: {', '.join(sorted(known))}")
    return [path.relative_to(ROOT).as_posix() for path in known[name]]


if __name__ == "__main__":
    try:
        print(*select(sys.argv[1]))
    except UnknownPart as error:
        sys.exit(str(error))
