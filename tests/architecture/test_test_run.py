"""How `make test` shares the tests between workers, and what `make test ONLY=...` selects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import distribution, selection
from tests.architecture.sources import ROOT
from tests.architecture.test_direction import CAPABILITIES


def test_files_and_folders_named_in_the_distribution_exist() -> None:
    named = {*distribution.WHOLE_FOLDERS, *distribution.ON_THEIR_OWN, *distribution.LONGEST_FIRST}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("node_id", "group"),
    [
        ("tests/e2e/test_loop.py::test_a", "tests/e2e"),
        ("tests/e2e/test_rollback.py::test_b[x/y::z]", "tests/e2e"),
        ("tests/infra/test_stages.py::test_c", "tests/infra"),
        ("tests/infra/test_layers.py::test_d", "tests/infra/test_layers.py"),
        ("tests/unit/data/test_features.py::test_e", "tests/unit/data/test_features.py"),
        ("tests/unit/data/test_features.py::test_f", "tests/unit/data/test_features.py"),
    ],
)
def test_tests_that_share_costly_fixtures_stay_together(node_id: str, group: str) -> None:
    assert distribution.group_of(node_id) == group


def test_long_groups_start_first_and_tests_of_a_group_keep_their_order() -> None:
    node_ids = [
        *("tests/unit/core/test_layout.py::test_b", "tests/unit/core/test_layout.py::test_a"),
        *("tests/local_cloud/test_pool.py::test_a", "tests/local_cloud/test_interrupted_deploy.py::test_a"),
        *("tests/e2e/test_rollback.py::test_a", "tests/e2e/test_loop.py::test_z"),
    ]
    order = distribution.longest_first(range(6), node_ids)
    assert order == [4, 5, 3, 2, 0, 1]


@pytest.mark.parametrize("name", sorted(CAPABILITIES))
def test_a_capability_selects_its_package_and_the_architecture(name: str) -> None:
    paths = selection.select(name)
    assert paths[0] == f"tests/unit/{name}" and paths[-1] == "tests/architecture"
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_capability_has_a_selection() -> None:
    assert frozenset(selection.CAPABILITIES) == CAPABILITIES


def test_entry_points_belong_to_the_capability_that_they_compose() -> None:
    assert "tests/unit/entrypoint/test_collector.py" in selection.select("serving")
    assert "tests/unit/entrypoint/test_collector.py" not in selection.select("data")
    assert "tests/unit/entrypoint/test_validation.py" in selection.select("data")


@pytest.mark.parametrize("name", ["local_cloud", "infra", "e2e", "workflows", "architecture"])
def test_a_folder_beside_the_unit_tests_selects_itself(name: str) -> None:
    assert selection.select(name) == [f"tests/{name}"]


def test_every_test_belongs_to_a_part() -> None:
    selected = [path for paths in selection.parts().values() for path in paths]
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if "__pycache__" not in path.parts]
    assert [path for path in tests if not any(path.is_relative_to(place) for place in selected)] == []


def test_an_unknown_part_fails_with_the_known_ones() -> None:
    done = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "--old-file=.venv/.installed",
            "--old-file=node_modules/.installed",
            "selection",
            "ONLY=bakery",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "no tests for ONLY=bakery; known: adapters, architecture," in done.stderr


def test_the_paths_are_relative_to_the_repository() -> None:
    assert not [path for paths in map(selection.select, selection.parts()) for path in paths if Path(path).is_absolute()]
