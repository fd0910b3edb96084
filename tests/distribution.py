"""How two or more pytest workers share the tests: which tests stay together, and in what order groups start.

Tests of one file stay on one worker, so fixtures of a module are made once. Folders whose tests share one costly session
fixture stay together as a whole: the deployed stage of ``tests/e2e``, the synthesised templates of ``tests/infra``. The
longest groups start first, so that no worker is left alone with one at the end. Each worker collects the tests by itself, so
the id of a test must not depend on the time or on chance.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
WHOLE_FOLDERS = ("tests/e2e", "tests/infra")
ON_THEIR_OWN = ("tests/infra/test_layers.py", "tests/infra/test_projects.py")
"""Files of a whole folder that do not use its session fixtures."""
LONGEST_FIRST = (
    "tests/e2e",
    "tests/local_cloud/test_interrupted_deploy.py",
    "tests/workflows/test_failures.py",
    "tests/infra",
    "tests/local_cloud",
    "tests/workflows",
    "tests/unit/evaluation",
    "tests/unit/training",
    "tests/unit/data",
    "tests/unit/cli",
    "tests/unit/monitoring",
    "tests/unit/adapters",
)
"""Groups and folders by the time that they take, measured; whatever is not named comes last."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def group_of(node_id: str) -> str:
    """The group of tests that a test is run with."""
    file = node_id.partition("::")[0]
    whole = next((folder for folder in WHOLE_FOLDERS if file.startswith(f"{folder}/")), None)
    return whole if whole is not None and file not in ON_THEIR_OWN else file


def rank(group: str) -> int:
    """The position of a group in the starting order; the most specific entry counts."""
    places = [place for place in LONGEST_FIRST if group == place or group.startswith(f"{place}/")]
    return LONGEST_FIRST.index(max(places, key=len)) if places else len(LONGEST_FIRST)


def longest_first(items: Iterable[T], node_ids: Sequence[str]) -> list[T]:
    """Items in the order their groups start; those of one group keep their order."""
    ordered = sorted(zip(items, node_ids, strict=True), key=lambda pair: (rank(group_of(pair[1])), group_of(pair[1])))
    return [item for item, _ in ordered]


def worker() -> bool:
    """Whether this process is one of several pytest workers."""
    return "PYTEST_XDIST_WORKER" in os.environ


def one_thread_per_worker() -> None:
    """Workers share the cores, so numeric libraries use one thread each; call it before they are imported."""
    if worker():
        for name in ONE_THREAD:
            os.environ.setdefault(name, "1")


def scheduler(config: Any, log: Any) -> Any:
    """Hands groups to workers in the order of the collection."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)
