"""From a recognised file to the table ``raw``: every declared column as text, and the row's number in the file.

Casting happens later and cell by cell, so that one bad value costs one row. Lines that are not rows (too many fields, a stray
quote) go to the table ``malformed``. A column that the project does not declare is dropped with a warning. A missing column
rejects the file.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from difflib import get_close_matches
from typing import Any

import duckdb

from driftless.core.duckdb import data_message, exhausted, literal, literals, quoted, scalar
from driftless.data.validation.source import Refused, Source
from driftless.definition.datasets import Dataset

_DELIMITERS = (",", ";", "\t", "|")
_HEADER_LIMIT = 1 << 20
_LINE_END = re.compile(r"\r\n|\r|\n")
# Limits for column names that the sender chooses: how many are listed, how many characters of each are shown, and how many
# are searched for a name like a missing one.
_NAMES_LISTED = 100
_NAME_LENGTH = 80
_NAMES_COMPARED = 500
_LINE_LIMIT = 16 << 20


def load(connection: Any, source: Source, dataset: Dataset) -> list[str]:
    """Fill ``raw(_source_row, <columns as VARCHAR>)`` and ``malformed(line, reason, text)``; return warnings.

    Raises
    ------
    Refused
        When the file as a whole does not fit the dataset.
    """
    connection.execute("CREATE TABLE malformed (line BIGINT, reason VARCHAR, text VARCHAR)")
    reader = {"csv": _csv, "json": _json, "parquet": _parquet}[source.format]
    try:
        return reader(connection, source, dataset)
    except duckdb.Error as error:
        if exhausted(error):
            raise
        personal = any(column.pii for column in dataset.columns.values())
        reason = data_message(error, personal=personal).replace(str(source.path), "the file")
        raise Refused(f"the file cannot be read as {source.format.upper()}: {reason}") from (None if personal else error)


def _csv(connection: Any, source: Source, dataset: Dataset) -> list[str]:
    names, delimiter, skipped = _header(source, dataset)
    warnings = _compare(names, dataset, optional=frozenset())
    columns = ", ".join(f"{literal(f'c{position}')}: 'VARCHAR'" for position in range(len(names)))
    wanted = []
    for name, column in dataset.columns.items():
        value = quoted(f"c{names.index(name)}")
        if column.type != "string":
            value = f"trim({value})"
        nulls = literals(dataset.null_values)
        wanted.append(
            f"CASE WHEN {value} NOT IN ({nulls}) THEN {value} END AS {quoted(name)}" if nulls else f"{value} AS {quoted(name)}"
        )
    for strict in ("true", "false"):
        # Strict mode fails on files that mix line ends; those are read in lenient mode.
        options = (
            f"auto_detect = false, header = false, skip = {skipped}, delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
            f"columns = {{{columns}}}, nullstr = chr(1), max_line_size = {_LINE_LIMIT}, buffer_size = {2 * _LINE_LIMIT}, "
            f"store_rejects = true, strict_mode = {strict}"
        )
        query = f"SELECT row_number() OVER () AS _source_row, {', '.join(wanted)} FROM read_csv(?, {options})"
        try:
            connection.execute(f"CREATE TABLE raw AS {query}", [str(source.path)])
            break
        except duckdb.InvalidInputException:
            if strict == "false":
                raise
    open_quote = scalar(
        connection, "SELECT min(line) FROM reject_errors WHERE contains(rtrim(csv_line, chr(13) || chr(10)), chr(10))"
    )
    if open_quote is not None:
        raise Refused(f"a quote opened near line {open_quote} swallows the lines after it; close it, or double it inside a value")
    connection.execute(
        "INSERT INTO malformed SELECT line, lower(any_value(error_type::VARCHAR)), any_value(csv_line) FROM reject_errors "
        "GROUP BY line ORDER BY line"
    )
    return warnings


def _header(source: Source, dataset: Dataset) -> tuple[list[str], str, int]:
    """Column names, the delimiter that yields most declared ones, and the number of lines to skip."""
    with source.path.open(encoding="utf-8", newline="") as file:
        head = file.read(_HEADER_LIMIT)
    lines = _LINE_END.split(head)
    blank = sum(1 for _ in itertools.takewhile(lambda line: not line.strip(), lines))
    first = lines[blank]
    if blank + 1 == len(lines) and len(head) == _HEADER_LIMIT:
        raise Refused(f"the first line is longer than {_HEADER_LIMIT} characters: no CSV header")
    parsed = [([name.strip() for name in _fields(first, mark)], mark) for mark in _DELIMITERS]
    names, delimiter = max(parsed, key=lambda item: sum(name in dataset.columns for name in item[0]))
    if not any(name in dataset.columns for name in names):
        if not all(row for row, _ in parsed):
            raise Refused(f"the first line holds a field of more than {csv.field_size_limit()} characters: no CSV header")
        raise Refused(f"the first line names no column of the dataset; expected a header such as {','.join(dataset.columns)}")
    return names, delimiter, blank + 1


def _fields(line: str, delimiter: str) -> list[str]:
    """One line's fields; none when a field exceeds the limit of Python's reader, as with a wrong delimiter."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _json(connection: Any, source: Source, dataset: Dataset) -> list[str]:
    lines = (
        "read_csv(?, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', nullstr = chr(2), "
        f"columns = {{'line': 'VARCHAR'}}, max_line_size = {_LINE_LIMIT}, buffer_size = {2 * _LINE_LIMIT}, strict_mode = false)"
    )
    connection.execute(f"CREATE TABLE lines AS SELECT row_number() OVER () AS _source_row, line FROM {lines}", [str(source.path)])
    objects = "CASE WHEN json_valid(line) THEN json_type(line) END = 'OBJECT'"
    connection.execute(
        "INSERT INTO malformed SELECT _source_row, 'not a JSON object', line FROM lines "
        f"WHERE ({objects}) IS DISTINCT FROM true AND trim(line) <> '' ORDER BY 1"
    )
    connection.execute(f"CREATE TABLE names AS SELECT DISTINCT unnest(json_keys(line)) AS name FROM lines WHERE {objects}")
    declared = f"name IN ({literals(dataset.columns)})"
    present = connection.execute(f"SELECT name FROM names WHERE {declared}").fetchall()
    others = f"FROM names WHERE NOT {declared}"
    unknown = connection.execute(f"SELECT name {others} ORDER BY name LIMIT {_NAMES_COMPARED}").fetchall()
    unlisted = scalar(connection, f"SELECT count(*) {others}") - len(unknown)
    connection.execute("DROP TABLE names")
    # JSON writers leave out nulls, so a nullable column may be absent from every line.
    optional = frozenset(name for name, column in dataset.columns.items() if column.nullable)
    warnings = _compare([row[0] for row in present + unknown], dataset, optional=optional, unlisted=unlisted, one_header=False)
    # One call extracts all columns of a line: a call per column would take megabytes each, and parse the line each time.
    found = f"json_extract_string(line, [{literals(map(_pointer, dataset.columns))}])"
    wanted = ", ".join(f"found[{position}] AS {quoted(name)}" for position, name in enumerate(dataset.columns, start=1))
    connection.execute(
        f"CREATE TABLE raw AS SELECT _source_row, {wanted} FROM "
        f"(SELECT _source_row, {found} AS found FROM lines WHERE {objects}) ORDER BY _source_row"
    )
    connection.execute("DROP TABLE lines")
    return warnings


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _parquet(connection: Any, source: Source, dataset: Dataset) -> list[str]:
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(source.path)]).fetchall()
    types = {str(row[0]): str(row[1]) for row in described}
    warnings = _compare([*types], dataset, optional=frozenset())
    wanted = []
    for name in dataset.columns:
        kind, value = types[name], quoted(name)
        if "[" in kind or kind.startswith(("STRUCT", "MAP", "BLOB", "UNION")):
            raise Refused(f"column {name!r} has Parquet type {kind}; a column holds single values")
        # pandas writes missing numbers as NaN.
        value = f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END" if kind in ("DOUBLE", "FLOAT") else value
        wanted.append(f"CAST({value} AS VARCHAR) AS {quoted(name)}")
    query = f"SELECT row_number() OVER () AS _source_row, {', '.join(wanted)} FROM read_parquet(?)"
    connection.execute(f"CREATE TABLE raw AS {query}", [str(source.path)])
    return warnings


def _compare(
    names: list[str], dataset: Dataset, *, optional: frozenset[str], unlisted: int = 0, one_header: bool = True
) -> list[str]:
    """Warnings about unknown columns, of which ``unlisted`` are not in ``names``; Refused about missing or repeated ones.

    Two names that differ only in case are a mistake in one header; as keys of many JSON lines they are different columns.
    """
    counted = Counter(names)
    folded = Counter(name.casefold() for name in counted)
    repeated = sorted(name for name in counted if counted[name] > 1 and name in dataset.columns)
    if repeated:
        raise Refused(f"column {', '.join(map(repr, repeated))} appears more than once")
    alike = sorted(name for name in counted if folded[name.casefold()] > 1 and name in dataset.columns)
    if alike and one_header:
        raise Refused(f"column {', '.join(map(repr, alike))} appears again in other case; rename or remove one of the two")
    unknown = [name for name in counted if name not in dataset.columns]
    missing = [name for name in dataset.columns if name not in counted and name not in optional]
    if missing:
        candidates = [name for name in unknown[:_NAMES_COMPARED] if len(name) <= _NAME_LENGTH]
        hints = [_hint(name, candidates) for name in missing[:_NAMES_LISTED]]
        reasons = [f"column {name!r} is missing{hint}" for name, hint in zip(missing, hints, strict=False)]
        raise Refused("; ".join(_and_more(reasons, len(missing), "are missing")))
    warnings = [f"column {_shown(name)} is not in the project and was dropped" for name in unknown[:_NAMES_LISTED]]
    return _and_more(warnings, len(unknown) + unlisted, "are not in the project and were dropped")


def _and_more(listed: list[str], total: int, fate: str) -> list[str]:
    return listed if total == len(listed) else [*listed, f"{total - len(listed)} more columns {fate}"]


def _shown(name: str) -> str:
    return repr(name) if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]!r}…"


def _hint(name: str, candidates: list[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), folded, n=1)
    return f" (the file has {folded[close[0]]!r})" if close else ""
