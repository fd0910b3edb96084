"""Model inputs and what is predicted from them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from driftless.definition.complaints import located
from driftless.definition.section import Hours, Identifier, Name, Section, Sql, check_range


class FeatureColumn(Section):
    """One model input, typed for the request schema. Categories are strings; null is allowed only when ``nullable``.

    ``reviewed`` is a person's reason why a column is honest although it looks like a leak: it silences the statistical evidence
    against that column, never the replay of history.
    """

    type: Literal["number", "integer", "category", "boolean"]
    nullable: bool = False
    range: tuple[float | None, float | None] | None = None
    allowed: tuple[str, ...] | None = None
    pii: bool = False
    reviewed: str = ""
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> FeatureColumn:
        check_range(self.range, self.type)
        if self.allowed is not None and (self.type != "category" or not self.allowed):
            reason = "no value would be allowed" if self.type == "category" else f"a {self.type} feature has no categories"
            raise located("allowed", reason, "list at least one category, or remove allowed")
        return self


class Features(Section):
    """One SELECT that yields, for each row of ``base``, its key, its event time and the feature columns.

    ``base`` exposes only columns known before the event; a dataset with outcome columns is also visible in full as
    ``<dataset>_outcomes`` with a ``known_at`` timestamp, for as-of joins on the past.
    """

    sql: str = "features.sql"
    base: Name
    columns: dict[Identifier, FeatureColumn] = Field(min_length=1)


class Target(Section):
    """What is predicted: a SQL expression over the base dataset; ``label_delay_hours`` after the event it is known."""

    name: Identifier
    expression: Sql
    label_delay_hours: Hours = 0
    classes: tuple[str, ...] | None = None

    @property
    def label_delay(self) -> timedelta:
        return timedelta(hours=self.label_delay_hours)
