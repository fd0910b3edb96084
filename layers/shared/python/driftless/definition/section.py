"""What every section of ``project.toml`` shares: strictness, value types, and checks of names, ranges and schedules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from driftless.definition.complaints import located

STORED_NAMES = frozenset({"_source", "_source_row", "_file", "_row", "_path", "filename", "file_row_number"})
COMPUTED_NAMES = frozenset({"_position", "_observable", "_target", "_part", "_count", "parity_challenge"})
"""Columns that tables and computed features carry besides those of the definition."""
_RATE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)")
_CRON = re.compile(r"cron\(([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+)\)")
_CRON_FIELDS = (
    ("minutes", 0, 59, ""),
    ("hours", 0, 23, ""),
    ("day of month", 1, 31, "L|W|LW|\\?"),
    ("month", 1, 12, "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
    ("day of week", 1, 7, "SUN|MON|TUE|WED|THU|FRI|SAT|L|\\?"),
    ("year", 1970, 2199, ""),
)


def _schedule(schedule: str) -> str:
    """A schedule EventBridge takes: ``rate(…)`` or ``cron(…)`` of six fields, in UTC."""
    fix = 'write an EventBridge schedule such as "rate(1 day)", "rate(7 days)" or "cron(0 6 ? * MON *)"'
    if _RATE.fullmatch(schedule):
        return schedule
    found = _CRON.fullmatch(schedule)
    if found is None:
        raise located("schedule", f"{schedule!r} is no schedule", fix)
    for text, (name, low, high, words) in zip(found.groups(), _CRON_FIELDS, strict=True):
        for part in re.split(r"[,/#-]", text):
            number = re.fullmatch(r"(\d+)[LW]?", part)
            if not (number and low <= int(number.group(1)) <= high) and part != "*" and not re.fullmatch(words or "(?!)", part):
                raise located("schedule", f"{schedule!r} has {part!r} as {name}, which goes from {low} to {high}", fix)
    if (found.group(3) == "?") == (found.group(5) == "?"):
        raise located("schedule", f"{schedule!r} must have ? as day of month or as day of week, and not as both", fix)
    return schedule


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Task = Literal["binary", "multiclass", "regression"]
ColumnType = Literal["integer", "number", "string", "boolean", "timestamp"]
Level = Literal["warn", "quarantine", "fail"]
Sql = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Hours = Annotated[float, Field(ge=0, le=876_000)]
Schedule = Annotated[str, AfterValidator(_schedule)]


class Section(BaseModel):
    """One table of ``project.toml``: frozen, without unknown keys, without infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_boolean_for_number(cls, value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(field.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()} is no number")
        return value


def check_range(bounds: tuple[float | None, float | None] | None, kind: str) -> None:
    """A range applies to numbers and leaves room."""
    if bounds is None:
        return
    low, high = bounds
    if kind not in ("integer", "number"):
        raise located("range", "range applies to type integer and number only", "remove it")
    if low is not None and high is not None and low > high:
        raise located("range", f"[{low:g}, {high:g}] is empty", "write the smaller bound first")


def check_names(key: str, names: Iterable[str], reserved: frozenset[str] | set[str]) -> None:
    """Names are not the platform's own, and differ by more than case, which SQL ignores."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in reserved:
            raise located(f"{key}.{name}", f"{name!r} is a name of the platform's own", "give the column another name")
        if name.lower() in seen:
            raise located(f"{key}.{name}", f"SQL cannot tell it from {seen[name.lower()]!r}", "give the column another name")
        seen[name.lower()] = name
