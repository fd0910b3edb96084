"""Times as clients write them: ISO 8601 text in, timezone-aware UTC out, or a reason a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic_core import CoreSchema, core_schema

_YEARS = range(1900, 2200)


def parse_time(text: str) -> datetime:
    """An ISO 8601 date and time as timezone-aware UTC; without an offset it is UTC already.

    Raises
    ------
    ValueError
        When it is no such time, or outside the years 1900 to 2199.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("not an ISO 8601 date and time, such as 2013-05-01T12:00:00Z") from error
    if parsed.year not in _YEARS:
        raise ValueError(f"the year must lie between {_YEARS.start} and {_YEARS.stop - 1}")
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """UTC as text of fixed width, so that it sorts by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_schema() -> CoreSchema:
    """Validator schema of a time field; yields timezone-aware UTC."""
    return core_schema.no_info_after_validator_function(parse_time, core_schema.str_schema(strict=True, max_length=40))
