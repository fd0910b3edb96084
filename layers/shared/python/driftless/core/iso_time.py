"""Parse and format times: ISO 8601 text to timezone-aware UTC, or an error that states what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic_core import CoreSchema, core_schema

_YEARS = range(1900, 2200)


def parse_time(text: str) -> datetime:
    """An ISO 8601 date and time as timezone-aware UTC; a time without an offset is taken as UTC.

    Raises
    ------
    ValueError
        When the text is not such a time, or outside the years 1900 to 2199.
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
