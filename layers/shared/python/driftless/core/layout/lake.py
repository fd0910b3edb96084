"""Keys of the lake bucket: tables, files on their way into them, predictions, labels and monitoring reports."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime

TABLES = "tables/"
STAGING = "staging/"
QUARANTINE = "quarantine/"
REPORTS = "reports/"
PREDICTIONS = "predictions/"
LABELS = "labels/"
MONITORING = "monitoring/"
RECEIPTS = f"{PREDICTIONS}_receipts/"
_DEFINITION_LENGTH = 12


def table_folder(project: str, dataset: str) -> str:
    """Folder of a dataset's Delta table."""
    return f"{TABLES}{project}/{dataset}"


def staged_rows(project: str, dataset: str, content: str, definition: str) -> str:
    """Accepted rows of a landed file, by the sha256 of its content and of the project definition."""
    return f"{STAGING}{_judged(project, dataset, content, definition)}.parquet"


def quarantined_rows(project: str, dataset: str, content: str, definition: str) -> str:
    """Refused rows of a landed file with their reasons."""
    return f"{QUARANTINE}{_judged(project, dataset, content, definition)}.parquet"


def validation_report(project: str, dataset: str, content: str, definition: str) -> str:
    """Report on a landed file of a known dataset."""
    return f"{REPORTS}{_judged(project, dataset, content, definition)}.json"


def unattributed_report(landing_key: str) -> str:
    """Report on a landed file whose key names no known dataset."""
    return f"{REPORTS}unattributed/{hashlib.sha256(landing_key.encode()).hexdigest()}.json"


def reported_under(report: str, definition: str) -> bool:
    """Whether a validation report's key is one of this project definition."""
    return report.endswith(f"-{definition[:_DEFINITION_LENGTH]}.json")


def _judged(project: str, dataset: str, content: str, definition: str) -> str:
    return f"{project}/{dataset}/{content}-{definition[:_DEFINITION_LENGTH]}"


def predictions_prefix(project: str) -> str:
    """All collected predictions of a project."""
    return f"{PREDICTIONS}{project}/"


def predictions_since(project: str, period: str) -> str:
    """Collected predictions of a year, month or day in ISO 8601 (``2013-05``), as the beginning of their keys."""
    return f"{predictions_prefix(project)}day={period}"


def predictions_file(project: str, day: str, digest: str) -> str:
    """One batch of collected predictions of a UTC day (``2013-05-01``)."""
    return f"{predictions_since(project, day)}/{digest}.parquet"


def unreadable_lines(day: str, digest: str) -> str:
    """Lines of the prediction log that the collector could not read, by the UTC day they were logged."""
    return f"{PREDICTIONS}_unreadable/day={day}/{digest}.jsonl"


def receipts_day(project: str, day: date) -> str:
    """Prefix of the receipts for one UTC day of the prediction log."""
    return f"{RECEIPTS}{project}/day={day:%Y-%m-%d}/"


def receipt_key(project: str, minute: datetime, lines: int, batch: str) -> str:
    """Receipt for the predictions of one minute in one batch of the prediction log.

    Parameters
    ----------
    minute : datetime
        Timezone-aware; when the predictions were made.
    lines : int
        Number of lines, including those that repeat another: each stands for one prediction that was returned.
    batch : str
        Digest of the batch.
    """
    at = minute.astimezone(UTC)
    return f"{receipts_day(project, at.date())}{at:%H%M}-{lines}-{batch}"


def parse_receipt(key: str) -> tuple[datetime, int]:
    """The minute (UTC) and the number of lines of a receipt."""
    name = key.rsplit("/", 1)[1]
    clock, lines, _ = name.split("-", 2)
    return datetime.strptime(f"{day_of(key)} {clock}+0000", "%Y-%m-%d %H%M%z"), int(lines)


def labels_prefix(project: str) -> str:
    """All accepted labels of a project."""
    return f"{LABELS}{project}/"


def labels_file(project: str, day: date, request: str) -> str:
    """The labels of one request, by the UTC day it was received."""
    return f"{labels_prefix(project)}day={day:%Y-%m-%d}/{request}.json"


def day_of(key: str) -> date:
    """The day in a key of predictions, labels or receipts."""
    return date.fromisoformat(key.rsplit("/day=", 1)[1].split("/", 1)[0])


def monitoring_report(project: str, window_end: datetime) -> str:
    """Report on the window that ends then, UTC."""
    return f"{MONITORING}{project}/{window_end:%Y-%m-%dT%H%M%S.%fZ}.json"
