"""Validation: one landed file in, one verdict out. A file never makes the step fail and is never half-written.

The file's format is recognised by its content. Its cells are read as text, cast one by one and checked against the project.
Accepted rows become a staged Parquet file; the others a quarantine file with the reasons. A file that cannot be accepted at
all, even one that belongs to no project, ends as a rejected record with reasons, because a sender's mistake is no failure of
the pipeline.

All keys derive from the content and the project definition, so a repeated delivery writes the same objects again. Reports hold
no personal values. The report is complete; the record that the next step gets is limited in size.
"""

from __future__ import annotations

from driftless.data.validation.step import Validate

__all__ = ["Validate"]
