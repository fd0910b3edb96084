"""The leak check on real flights: what is known only after landing is caught by evidence, whatever it is called.

Only numbers and nulls give a column away here: each cheat is selected under a meaningless name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from driftless.core.duckdb import engine
from driftless.data import leakage
from driftless.data.features.compute import compute
from driftless.data.features.tables import load
from driftless.data.features.target import add_target
from driftless.definition.project import Project
from driftless.errors import LeakageFound
from tests.unit.flights_lake import staged_files, variant

OUTCOMES = {
    "dep_time": 'dep_time = { type = "integer", nullable = true, range = [0, 2400], known = "after" }',
    "dep_delay": 'dep_delay = { type = "number", nullable = true, range = [-180, 3000], known = "after" }',
    "arr_time": 'arr_time = { type = "integer", nullable = true, range = [0, 2400], known = "after" }',
    "arr_delay": 'arr_delay = { type = "number", nullable = true, range = [-300, 3000], known = "after" }',
    "air_time": 'air_time = { type = "number", nullable = true, range = [0, 2000], known = "after" }',
}
DECLARED = "[features.columns]\n"
SELECTED = "    f.distance,\n"
NEW_FEATURE = DECLARED + 'x1 = { type = "number", nullable = true }\n'


@pytest.fixture(scope="module")
def january(
    flights_csv: Callable[[int, int], dict[str, Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Path]]:
    return staged_files(flights_csv(1, 1), tmp_path_factory.mktemp("january"))


def judge(project: Project, files: dict[str, list[Path]], scratch: Path) -> None:
    with engine(scratch) as connection:
        load(connection, project, files)
        compute(connection, project)
        add_target(connection, project)
        leakage.check(connection, project)


def test_the_honest_project_passes(january: dict[str, list[Path]], tmp_path: Path) -> None:
    judge(variant(tmp_path), january, tmp_path)


@pytest.mark.parametrize("disguise", ["{0}", "{0} / 60.0 - 7", "1000 - 3 * {0}"])
@pytest.mark.parametrize("column", OUTCOMES)
def test_an_undeclared_outcome_is_caught_under_any_name_scale_and_shift(
    january: dict[str, list[Path]], tmp_path: Path, column: str, disguise: str
) -> None:
    undeclared = OUTCOMES[column].replace(', known = "after"', "")
    cheat = SELECTED + f"    {disguise.format('f.' + column)} AS x1,\n"
    project = variant(tmp_path, toml={OUTCOMES[column]: undeclared, DECLARED: NEW_FEATURE}, sql={SELECTED: cheat})
    with pytest.raises(LeakageFound, match=r"feature 'x1' .*: .*\d.*Fix: "):
        judge(project, january, tmp_path)


@pytest.mark.parametrize("column", OUTCOMES)
def test_an_outcome_joined_back_is_caught_by_replaying_history(
    january: dict[str, list[Path]], tmp_path: Path, column: str
) -> None:
    sql = {
        SELECTED: SELECTED + f"    o.{column} AS x1,\n",
        "FROM flights AS f\n": "FROM flights AS f\nLEFT JOIN flights_outcomes AS o USING (time_hour, carrier, flight)\n",
    }
    project = variant(tmp_path, toml={DECLARED: NEW_FEATURE}, sql=sql)
    with pytest.raises(LeakageFound, match=r"feature 'x1' .*everything after 2013-01-\d\d .* hidden, \d+ of \d+ rows"):
        judge(project, january, tmp_path)


@pytest.mark.parametrize("column", OUTCOMES)
def test_a_declared_outcome_cannot_even_be_read(january: dict[str, list[Path]], tmp_path: Path, column: str) -> None:
    project = variant(tmp_path, toml={DECLARED: NEW_FEATURE}, sql={SELECTED: SELECTED + f"    f.{column} AS x1,\n"})
    with pytest.raises(LeakageFound, match=rf"reads flights.{column}, which is known only after the event. Fix: "):
        judge(project, january, tmp_path)


def test_a_target_in_disguise_without_its_nulls_is_caught_by_its_strength(january: dict[str, list[Path]], tmp_path: Path) -> None:
    """Nulls replaced by an honest column's values leave only what the numbers themselves say."""
    undeclared = OUTCOMES["arr_delay"].replace(', known = "after"', "")
    cheat = SELECTED + "    coalesce(f.arr_delay, w.temp - 40) AS x1,\n"
    project = variant(tmp_path, toml={OUTCOMES["arr_delay"]: undeclared, DECLARED: NEW_FEATURE}, sql={SELECTED: cheat})
    with pytest.raises(LeakageFound, match=r"feature 'x1' .*AUC (0.9|1.0)"):
        judge(project, january, tmp_path)


@pytest.mark.parametrize("disguise", ["ln(air_time + 1)", "air_time * 60 + 5"])
def test_an_undeclared_copy_of_an_outcome_is_caught_without_its_nulls(
    january: dict[str, list[Path]], tmp_path: Path, disguise: str
) -> None:
    """``tailnum`` plays the carelessly undeclared copy: air time in another unit, as text, with the nulls filled."""
    files = {"flights": [tmp_path / "flights.parquet"], "weather": january["weather"]}
    with engine(tmp_path) as connection:
        connection.execute(
            f"COPY (SELECT * REPLACE (coalesce({disguise}, flight % 300)::VARCHAR AS tailnum) FROM read_parquet(?)) "
            f"TO '{files['flights'][0]}' (FORMAT parquet)",
            [str(january["flights"][0])],
        )
    (tmp_path / "judge").mkdir()
    cheat = {SELECTED: SELECTED + "    f.tailnum::DOUBLE AS x1,\n"}
    with pytest.raises(LeakageFound, match=r"feature 'x1' .* explains (99|100)\.\d+% of outcome column 'air_time'"):
        judge(variant(tmp_path, toml={DECLARED: NEW_FEATURE}, sql=cheat), files, tmp_path / "judge")


@pytest.mark.parametrize(
    ("expression", "evidence"),
    [
        ("avg(f.distance) OVER ()", "hidden"),
        ("lead(f.minute) OVER (ORDER BY f.time_hour, f.carrier, f.flight)", "hidden"),
        ("random()", "deterministic"),
    ],
)
def test_features_that_look_ahead_or_draw_are_caught(
    january: dict[str, list[Path]], tmp_path: Path, expression: str, evidence: str
) -> None:
    project = variant(tmp_path, toml={DECLARED: NEW_FEATURE}, sql={SELECTED: SELECTED + f"    {expression} AS x1,\n"})
    with pytest.raises(LeakageFound, match=f"feature 'x1' .*{evidence}"):
        judge(project, january, tmp_path)


def test_history_read_as_of_the_moment_is_honest(january: dict[str, list[Path]], tmp_path: Path) -> None:
    """The last delay of the carrier that was known by then: an outcome, yet no leak."""
    sql = {
        SELECTED: SELECTED + "    o.arr_delay AS x1,\n",
        "FROM flights AS f\n": (
            "FROM flights AS f\nASOF LEFT JOIN (SELECT carrier, known_at, max(arr_delay) AS arr_delay FROM flights_outcomes "
            "GROUP BY carrier, known_at) AS o ON o.carrier = f.carrier AND f.time_hour >= o.known_at\n"
        ),
    }
    judge(variant(tmp_path, toml={DECLARED: NEW_FEATURE}, sql=sql), january, tmp_path)


def test_a_person_may_vouch_for_a_column_but_not_against_the_replay(january: dict[str, list[Path]], tmp_path: Path) -> None:
    vouched = NEW_FEATURE.replace(" }", ', reviewed = "measured at the gate, an hour before" }')
    undeclared = {OUTCOMES["dep_delay"]: OUTCOMES["dep_delay"].replace(', known = "after"', ""), DECLARED: vouched}
    judge(variant(tmp_path, toml=undeclared, sql={SELECTED: SELECTED + "    f.dep_delay AS x1,\n"}), january, tmp_path)
    cheat = {SELECTED: SELECTED + "    avg(f.distance) OVER () AS x1,\n"}
    with pytest.raises(LeakageFound, match="hidden"):
        judge(variant(tmp_path / "second", toml={DECLARED: vouched}, sql=cheat), january, tmp_path / "second")
