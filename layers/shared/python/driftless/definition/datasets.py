"""Datasets of a project: typed columns, rules over rows, key and event time."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from driftless.definition.complaints import located
from driftless.definition.section import (
    COMPUTED_NAMES,
    STORED_NAMES,
    ColumnType,
    Identifier,
    Level,
    Section,
    Sql,
    check_names,
    check_range,
)

_ALLOWED_KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int,), "boolean": (bool,)}


class Column(Section):
    """One column of a dataset. ``known = "after"`` marks what is only known once the event is over.

    ``range`` is inclusive and closed; null never violates ``range``, ``allowed`` or ``pattern`` (only ``nullable``
    limits null). ``level`` is what happens to a row that breaks this column's constraints.
    """

    type: ColumnType
    nullable: bool = False
    range: tuple[float | None, float | None] | None = None
    allowed: tuple[str | int | bool, ...] | None = None
    pattern: str | None = None
    pii: bool = False
    known: Literal["before", "after"] = "before"
    level: Level = "quarantine"
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        check_range(self.range, self.type)
        if self.allowed is not None:
            kinds = _ALLOWED_KINDS.get(self.type, ())
            wrong = [value for value in self.allowed if type(value) not in kinds]
            if not self.allowed or wrong or not kinds:
                reason = f"{wrong[0]!r} is no {self.type}" if wrong and kinds else "no value would be allowed"
                if not kinds:
                    reason = f"a {self.type} column cannot list its values"
                raise located("allowed", reason, f"list values of type {self.type}, or remove allowed")
        if self.pattern is not None:
            if self.type != "string":
                raise located("pattern", "pattern applies to string columns only", "remove it")
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise located(
                    "pattern", f"not a regular expression: {error}", "correct it, in single quotes to spare backslashes"
                ) from error
        return self


class Rule(Section):
    """A named SQL predicate over one row that must hold; null counts as holding."""

    name: Identifier
    sql: Sql
    level: Level = "quarantine"


class Dataset(Section):
    """One landing dataset: typed columns, key, event time and rules.

    A duplicate is a row whose ``key`` columns (null equal to null) all equal those of another row of the same file: the last
    good one counts, the others are quarantined. ``null_values`` are the texts that mean null in CSV files. ``max_quarantined``
    is the share (0 to 1) of quarantined rows above which the whole file is rejected. ``ahead_hours`` is how far an event time
    may lie after the moment of validation; further ahead is a typing error. After ``ttl_hours`` a row is no longer joined as of.
    """

    event_time: Identifier
    key: tuple[Identifier, ...] = Field(min_length=1)
    columns: dict[Identifier, Column] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    max_quarantined: float = Field(default=0.1, ge=0, le=1)
    ahead_hours: float = Field(default=24, ge=0, le=876_000)
    ttl_hours: float | None = Field(default=None, gt=0, le=876_000)
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        for key, names in (("event_time", (self.event_time,)), ("key", self.key)):
            for name in names:
                if name not in self.columns:
                    known = ", ".join(self.columns)
                    raise located(key, f"column {name!r} is not defined under columns", f"define it, or write one of {known}")
                if self.columns[name].known == "after":
                    fix = "choose a column that is known before the event"
                    raise located(key, f"column {name!r} is marked as known only after the event", fix)
        if self.columns[self.event_time].type != "timestamp":
            raise located(
                "event_time", f"column {self.event_time!r} must have type timestamp", "change its type, or name another"
            )
        if self.ttl_hours is not None and self.event_time not in self.key:
            reason = f"the key lacks {self.event_time!r}: of an entity there is one row, which no other can follow"
            raise located("ttl_hours", reason, "add the event time to key, or remove ttl_hours")
        outcomes = any(column.known == "after" for column in self.columns.values())
        reserved = STORED_NAMES | COMPUTED_NAMES | ({"known_at"} if outcomes else set())
        check_names("columns", self.columns, reserved)
        names_of_rules = [rule.name for rule in self.rules]
        for position, name in enumerate(names_of_rules):
            if name in names_of_rules[:position]:
                raise located(f"rules.{position}.name", f"{name!r} names an earlier rule too", "give each rule a name of its own")
        return self
