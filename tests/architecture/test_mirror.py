"""The unit tests mirror the library: each folder and file of ``tests/unit`` is named after the code that it tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.sources import LIBRARY, ROOT

UNIT = ROOT / "tests" / "unit"
BESIDE_THE_LIBRARY = frozenset({"cli", "docs", "bench"})
"""Folders of ``tests/unit`` that test something else than the library."""


def misplaced(test: Path, library: Path = LIBRARY / "driftless") -> str | None:
    """Why a test file's place names no code of the library, if it does not.

    Parameters
    ----------
    test : Path
        Relative to ``tests/unit``. Below a folder that names a module or package, files may be named after what they test
        of it. The tests of adapters that share a port may be named after the port.
    """
    package, *inner = test.parent.parts
    if package in BESIDE_THE_LIBRARY:
        return None
    subject = "/".join(inner) or test.stem.removeprefix("test_")
    places = [library / package, *([library / "ports"] if package == "adapters" else [])]
    if any((place / subject).is_dir() or (place / f"{subject}.py").is_file() for place in places):
        return None
    return f"tests/unit/{test.as_posix()}: no module or package driftless.{package}.{subject.replace('/', '.')}"


def test_every_unit_test_is_named_after_code() -> None:
    tests = [path.relative_to(UNIT) for path in sorted(UNIT.rglob("test_*.py"))]
    assert [reason for test in tests if (reason := misplaced(test))] == []
    assert len(tests) > 50


@pytest.mark.parametrize("name", ["data/test_weather.py", "weather/test_data.py", "serving/weather/test_ingestion.py"])
def test_a_test_without_its_code_is_found(name: str) -> None:
    assert misplaced(Path(name)) is not None


def test_code_that_a_test_names_is_found(tmp_path: Path) -> None:
    (tmp_path / "data" / "validation").mkdir(parents=True)
    (tmp_path / "data" / "ingestion.py").touch()
    for name in ("test_ingestion.py", "ingestion/test_times.py", "test_validation.py", "validation/test_size.py"):
        assert misplaced(Path("data", name), tmp_path) is None
    reason = misplaced(Path("data/test_times.py"), tmp_path)
    assert reason == "tests/unit/data/test_times.py: no module or package driftless.data.times"
