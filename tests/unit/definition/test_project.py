"""The error for every mistake in project.toml names the file, the line, the key, the reason and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftless.definition.loading import load, load_all
from driftless.definition.project import Project
from driftless.errors import BadProject
from tests.unit.flights_lake import PROJECTS
from tests.unit.small_shop import SQL, TOML, shop


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(start))


# What is replaced, by what, the key, where the line starts that is named, the reason, and the fix.
MISTAKES = [
    ('task = "binary"', 'task = "binari"', "task", "task", "'binary'", "value of that form"),
    ('title = "Orders that are paid"\n', "", "title", None, "required and missing", "add title"),
    ("holdout_days = 5", "holdout_day = 5", "split.holdout_day", "holdout_day", "no such key", 'did you mean "holdout_days"?'),
    ("holdout_days = 5", "holdout_days = -5", "split.holdout_days", "holdout_days", "greater than 0 (got -5)", "that form"),
    ("holdout_days = 5", 'holdout_days = "a few"', "split.holdout_days", "holdout_days", "got 'a few'", "that form"),
    ('base = "orders"', 'base = "order"', "features.base", "base", "names dataset 'order'", "orders, prices"),
    ('primary = "log_loss"', 'primary = "mae"', "gates.primary", "primary", "'mae' does not exist for task binary", "log_loss"),
    ('name = "is_paid"', 'name = "price"', "target.name", 'name = "price"', "is also a feature", "another name"),
    ('key = ["id"]', 'key = ["ident"]', "datasets.orders.key", "key", "'ident' is not defined under columns", "id, made_at"),
    (
        'event_time = "made_at"',
        'event_time = "price"',
        "datasets.orders.event_time",
        "event_time",
        "column 'price' must have type timestamp",
        "change its type",
    ),
    (
        'size = { type = "string" }\npaid',
        'size = { type = "text" }\npaid',
        "datasets.orders.columns.size.type",
        "size",
        "got 'text'",
        "that form",
    ),
    (
        'price = { type = "number", nullable = true }',
        'price = { type = "number", nullable = true, range = [5, 1] }',
        "datasets.orders.columns.price.range",
        "price",
        "[5, 1] is empty",
        "smaller bound first",
    ),
]


PRICE, SIZE = 'price = { type = "number", nullable = true }\n', 'size = { type = "string" }\npaid'
INPUT, MARKET = 'size = { type = "category", allowed = ["S", "M"] }', 'market = { type = "number", nullable = true }'
TARGET, SERVING = 'expression = "paid"', 'primary = "log_loss"\n\n[serving]\n'
GATE, MONITORING, RETRAINING = (
    'primary = "log_loss"\n',
    SERVING.replace("serving", "monitoring"),
    SERVING.replace("serving", "retraining"),
)
# What is replaced, by what, the key, a part of the reason.
CONTRADICTIONS = [
    ('task = "binary"', 'task = "binary"\ncolour = 1', "colour", "no such key"),
    ('title = "Orders that are paid"', "title = 7", "title", "valid string (got 7)"),
    ('key = ["id"]', 'key = "id"', "datasets.orders.key", "should be a list (got 'id')"),
    ('key = ["id"]', "key = []", "datasets.orders.key", "at least 1 item, not 0"),
    ('key = ["id"]', 'key = ["paid"]', "datasets.orders.key", "known only after the event"),
    (
        'made_at = { type = "timestamp" }',
        'made_at = { type = "timestamp", known = "after" }',
        "datasets.orders.event_time",
        "after the",
    ),
    ('event_time = "made_at"', 'event_time = "nope"', "datasets.orders.event_time", "'nope' is not defined"),
    (PRICE, '_source = { type = "string" }\n' + PRICE, "datasets.orders.columns._source", "platform's own"),
    (PRICE, 'known_at = { type = "timestamp" }\n' + PRICE, "datasets.orders.columns.known_at", "platform's own"),
    (PRICE, PRICE.replace("price", "Price") + PRICE, "datasets.orders.columns.price", "cannot tell it from 'Price'"),
    (PRICE, PRICE.replace("null", "range = [nan, 5], null"), "datasets.orders.columns.price.range.0", "finite number (got nan)"),
    (PRICE, PRICE.replace("null", 'allowed = ["a"], null'), "datasets.orders.columns.price.allowed", "'a' is no number"),
    (SIZE, SIZE.replace('" }', '", allowed = [] }', 1), "datasets.orders.columns.size.allowed", "no value would be allowed"),
    (
        'made_at = { type = "timestamp" }',
        'made_at = { type = "timestamp", allowed = ["x"] }',
        "datasets.orders.columns.made_at.allowed",
        "a timestamp column cannot list its values",
    ),
    (SIZE, SIZE.replace('" }', '", pattern = "(" }', 1), "datasets.orders.columns.size.pattern", "not a regular expression"),
    (SIZE, SIZE.replace('" }', '", range = [1, 2] }', 1), "datasets.orders.columns.size.range", "integer and number only"),
    ("[datasets.prices]", "[datasets.Prices]", "datasets.Prices.[key]", "should match pattern"),
    (
        "[datasets.prices]",
        '[[datasets.orders.rules]]\nname = "a"\nsql = " "\n\n[datasets.prices]',
        "datasets.orders.rules.0.sql",
        "least 1",
    ),
    ("range = [0, 100]", "range = [100, 0]", "features.columns.price.range", "[100, 0] is empty"),
    ("range = [0, 100]", "range = [0, 1, 2]", "features.columns.price.range", "at most 2 items, not 3"),
    (INPUT, INPUT.replace("allowed", "range = [0, 1], allowed"), "features.columns.size.range", "integer and number only"),
    (INPUT, INPUT.replace('"S", "M"', ""), "features.columns.size.allowed", "no value would be allowed"),
    (MARKET, MARKET.replace(" }", ', allowed = ["a"] }'), "features.columns.market.allowed", "no categories"),
    (MARKET, MARKET + '\n_target = { type = "number" }', "features.columns._target", "platform's own"),
    (MARKET, MARKET + '\nSize = { type = "category" }', "features.columns.Size", "cannot tell it from 'size'"),
    (TARGET, 'expression = " "', "target.expression", "at least 1 character"),
    (TARGET, TARGET + '\nclasses = ["a", "b"]', "target.classes", "a binary task has no classes"),
    ('name = "is_paid"', 'name = "ID"', "target.name", "also the key or the event time"),
    ('name = "is_paid"', 'name = "_observable"', "target.name", "platform's own"),
    ("label_delay_hours = 24", "label_delay_hours = inf", "target.label_delay_hours", "finite number (got inf)"),
    ("label_delay_hours = 24", "label_delay_hours = 1e15", "target.label_delay_hours", "less than or equal to 876000"),
    ("holdout_days = 5", "holdout_days = true", "split.holdout_days", "true is no number"),
    ("train_days = 20", "train_days = 1e12", "split.train_days", "less than or equal to 36500"),
    ("C = [1.0, 0.1, 10.0]", "C = []", "model.search.C", "at least 1 item, not 0"),
    ("C = [1.0, 0.1, 10.0]", "C = 1.0", "model.search.C", "should be a list"),
    (GATE, GATE + 'absolute = [{ metric = "auc" }]\n', "gates.absolute.0.metric", "the gate on 'auc' has no bound"),
    (
        GATE,
        GATE + 'absolute = [{ metric = "auc", minimum = 0.9, maximum = 0.1 }]\n',
        "gates.absolute.0.minimum",
        "above the maximum",
    ),
    (GATE, GATE + 'slices = ["colour"]\n', "gates.slices", "'colour' is not a feature"),
    (
        GATE,
        SERVING + "canary_steps = [0.1, 0.1]\n",
        "serving.canary_steps",
        "each be larger than the one before (got [0.1, 0.1])",
    ),
    (GATE, SERVING + "canary_steps = [0.5, 0.1]\n", "serving.canary_steps", "each be larger than the one before"),
    (GATE, SERVING + "canary_steps = [1.0]\n", "serving.canary_steps", "between 0 and 1"),
    (GATE, SERVING + "bake_seconds = 90000\nquiet_bakes = 0\n", "serving.bake_seconds", "longer than a day"),
    (GATE, SERVING + "bake_seconds = 21601\n", "serving.bake_seconds", "longer than a day"),
    (GATE, SERVING + "rate_limit = inf\n", "serving.rate_limit", "finite number"),
    (GATE, MONITORING + "psi_warn = 0.5\n", "monitoring.psi_warn", "0.5 is above psi_alert, 0.25"),
    (GATE, MONITORING + 'schedule = "every day"\n', "monitoring.schedule", "'every day' is no schedule"),
    (GATE, RETRAINING + 'schedule = "rate(1 days)"\n', "retraining.schedule", "'rate(1 days)' is no schedule"),
    (GATE, RETRAINING + 'schedule = "rate(5 day)"\n', "retraining.schedule", "'rate(5 day)' is no schedule"),
    (GATE, RETRAINING + 'schedule = "cron(0 12 * * *)"\n', "retraining.schedule", "is no schedule"),
    (GATE, RETRAINING + 'schedule = "cron(99 12 ? * * *)"\n', "retraining.schedule", "'99' as minutes, which goes from 0 to 59"),
    (
        GATE,
        RETRAINING + 'schedule = "cron(0 12 * * * *)"\n',
        "retraining.schedule",
        "must have ? as day of month or as day of week",
    ),
    ('key = ["id"]', 'key = ["id"]\nttl_hours = 6', "datasets.orders.ttl_hours", "the key lacks"),
    ('key = ["id"]', 'key = ["id", "made_at"]\nttl_hours = 6', "datasets.orders.ttl_hours", "predicted, not joined as of"),
    ('key = ["id"]', 'key = ["id"]\nttl_hours = 0', "datasets.orders.ttl_hours", "greater than 0"),
    (GATE, RETRAINING + 'triggers = ["moon"]\n', "retraining.triggers.0", "got 'moon'"),
]


@pytest.mark.parametrize(("old", "new", "key", "reason"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_key_line_reason_and_fix(
    tmp_path: Path, old: str, new: str, key: str, reason: str
) -> None:
    with pytest.raises(BadProject) as caught:
        shop(tmp_path, toml={old: new})
    error = caught.value
    assert (error.file, error.key) == ("projects/shop/project.toml", key)
    assert reason in error.reason and error.fix and error.line is not None


PERSONAL = [
    (
        {INPUT: INPUT.replace("allowed", "pii = true, allowed").replace(', allowed = ["S", "M"]', "")},
        "features.columns.size.allowed",
    ),
    ({SIZE: SIZE.replace('" }', '", pii = true }', 1)}, "features.columns.size.pii"),
    ({"range = [0, 100]": "pii = true", GATE: GATE + 'slices = ["price"]\n'}, "gates.slices"),
    ({"range = [0, 100]": "pii = true", GATE: GATE + 'protected = ["price"]\n'}, "gates.protected"),
]


@pytest.mark.parametrize(("changes", "key"), PERSONAL)
def test_a_personal_column_whose_values_would_leave_the_lake_is_refused(
    tmp_path: Path, changes: dict[str, str], key: str
) -> None:
    with pytest.raises(BadProject) as caught:
        shop(tmp_path, toml=changes)
    error = caught.value
    assert error.key == key and "personal" in error.reason and error.fix and error.line is not None


def test_a_personal_category_of_listed_values_may_be_an_input_and_a_slice(tmp_path: Path) -> None:
    changes = {INPUT: INPUT.replace("allowed", "pii = true, allowed"), GATE: GATE + 'slices = ["size"]\nprotected = ["size"]\n'}
    assert shop(tmp_path, toml=changes).features.columns["size"].pii


@pytest.mark.parametrize("classes", ['["S"]', '["S", "M", "S"]'])
def test_classes_are_at_least_two_and_each_is_listed_once(tmp_path: Path, classes: str) -> None:
    with pytest.raises(BadProject) as caught:
        shop(tmp_path, toml={'task = "binary"': 'task = "multiclass"', TARGET: f'expression = "size"\nclasses = {classes}'})
    assert caught.value.key == "target.classes" and "list each class once" in caught.value.fix


@pytest.mark.parametrize(
    "schedule",
    [
        "rate(1 day)",
        "rate(15 minutes)",
        "cron(0 6 ? * MON-FRI *)",
        "cron(0/15 6,18 L * ? 2026)",
        "cron(0 8 15W JAN/3 ? *)",
        "cron(0 0 ? * 2#1 *)",
    ],
)
def test_schedules_of_eventbridge_pass(tmp_path: Path, schedule: str) -> None:
    assert shop(tmp_path, toml={GATE: f'{RETRAINING}schedule = "{schedule}"\n'}).retraining.schedule == schedule


@pytest.mark.parametrize(("old", "new", "key", "line", "reason", "fix"), MISTAKES)
def test_a_mistake_names_line_key_reason_and_fix(
    tmp_path: Path, old: str, new: str, key: str, line: str | None, reason: str, fix: str
) -> None:
    with pytest.raises(BadProject) as caught:
        shop(tmp_path, toml={old: new})
    error = caught.value
    text = TOML.replace(old, new, 1)
    assert error.file == "projects/shop/project.toml"
    assert error.key == key
    assert error.line == (None if line is None else line_of(text, line))
    assert reason in error.reason
    assert fix in error.fix
    assert str(error).startswith("projects/shop/project.toml")


def write(folder: Path, toml: bytes) -> Path:
    target = folder / "shop"
    target.mkdir()
    (target / "project.toml").write_bytes(toml)
    (target / "features.sql").write_text(SQL, encoding="utf-8")
    return target


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="not valid TOML") as caught:
        load(write(tmp_path, TOML.replace("holdout_days = 5", "holdout_days = ").encode()))
    assert caught.value.line == line_of(TOML, "holdout_days")


def test_a_file_that_is_no_utf8_or_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="not UTF-8"):
        load(write(tmp_path, TOML.replace("Orders", "Aufträge").encode("latin-1")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadProject, match=r"projects/empty/project.toml: the file does not exist"):
        load(tmp_path / "empty")


def test_sql_that_is_no_utf8_or_elsewhere_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, TOML.encode())
    (folder / "features.sql").write_bytes("-- märket".encode("latin-1"))
    with pytest.raises(BadProject, match=r"projects/shop/features\.sql: not UTF-8"):
        load(folder)
    for elsewhere in ("/etc/passwd", "../shop/features.sql", ".", ""):
        (folder / "project.toml").write_text(TOML.replace('base = "orders"', f'base = "orders"\nsql = "{elsewhere}"'))
        with pytest.raises(BadProject, match=r"project\.toml:\d+: features\.sql: '.*' is no file beside"):
            load(folder)


def test_the_mark_before_utf8_is_no_part_of_a_file(tmp_path: Path) -> None:
    folder = write(tmp_path, b"\xef\xbb\xbf" + TOML.encode())
    (folder / "features.sql").write_bytes(b"\xef\xbb\xbf" + SQL.encode())
    assert load(folder).features_sql == SQL


def test_folders_that_are_no_projects_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match=r"projects/: there is no such folder"):
        load_all(tmp_path / "none")
    write(tmp_path, TOML.encode())
    (tmp_path / "linked").symlink_to(tmp_path / "shop")
    with pytest.raises(BadProject, match=r"projects/linked: a link.* Fix: put the folder itself there"):
        load_all(tmp_path)
    (tmp_path / "linked").unlink()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadProject, match="projects/gone: a link"):
        load_all(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "odd" / "project.toml").mkdir(parents=True)
    with pytest.raises(BadProject, match=r"projects/odd/project\.toml: cannot be read: Is a directory"):
        load_all(tmp_path)


def test_a_folder_of_another_name_and_missing_sql_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, TOML.encode()).rename(tmp_path / "store")
    with pytest.raises(BadProject, match="differs from its folder") as caught:
        load(folder)
    assert (caught.value.key, caught.value.fix) == ("name", 'write name = "store" or rename the folder')
    folder = folder.rename(tmp_path / "shop")
    (folder / "features.sql").unlink()
    with pytest.raises(BadProject, match=r"'features\.sql' is no file beside"):
        load(folder)


def test_the_digest_follows_definition_and_sql(tmp_path: Path) -> None:
    def digest(name: str, project: Project) -> str:
        assert project.name == "shop", name
        return project.features_digest

    first = digest("a", shop(tmp_path / "a"))
    assert digest("b", shop(tmp_path / "b")) == first
    assert digest("c", shop(tmp_path / "c", sql={"market's": "market"})) != first
    assert digest("d", shop(tmp_path / "d", toml={"holdout_days = 5": "holdout_days = 6"})) != first


def test_every_folder_is_a_project_and_the_built_in_one_loads(tmp_path: Path) -> None:
    shop(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    assert [*load_all(tmp_path)] == ["shop"]
    flights = load_all(PROJECTS)["flights"]
    assert flights.task == "binary" and set(flights.datasets) == {"flights", "weather"}


@pytest.mark.parametrize("name", ["health", "docs"])
def test_a_name_that_is_a_route_of_the_api_is_refused(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, TOML.replace('name = "shop"', f'name = "{name}"', 1).encode()).rename(tmp_path / name)
    with pytest.raises(BadProject, match="is a route of the API itself") as caught:
        load(folder)
    assert caught.value.key == "name" and caught.value.line == line_of(TOML, "name")
