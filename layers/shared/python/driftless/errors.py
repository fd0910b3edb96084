"""The errors of Driftless, as one tree.

Step Functions retries by class name, so each leaf is either *retryable* (the same call may succeed later) or *terminal*
(it will fail again until a person or new data changes something). Adapters wrap and chain the errors of their clients.

::

    DriftlessError
    ├── RetryableError
    │   ├── StoreUnavailable     a service did not respond, or returned 5xx
    │   ├── Throttled            a service limits the request rate
    │   └── Conflict             a conditional write lost a race; read again and decide again
    └── TerminalError
        ├── BadProject           project.toml or features.sql is wrong (file, line, key, reason, fix)
        ├── BadRequest           a request of a client or a person is malformed
        ├── NotFound             the named thing does not exist
        ├── AccessDenied         the function's role, or the person, lacks a permission
        ├── DataRejected         an input file cannot be accepted as a whole
        ├── OutOfResources       a function's memory or scratch space is too small for its input
        ├── NotEnoughData        too few rows, labels or days to decide anything
        ├── CandidateRefused     scikit-learn cannot fit a candidate's parameters to this data
        ├── LeakageFound         a feature carries what is only known later
        ├── ExportRefused        the fitted model has no faithful ONNX form
        ├── UnsupportedVersion   an installed package is not the version that this release relies on
        ├── IntegrityError       a digest does not match what was recorded
        ├── SignatureInvalid     a manifest is unsigned, or signed by no trusted key
        └── IllegalMove          a promotion, rollback or approval that the registry's state does not allow
"""

from __future__ import annotations


class DriftlessError(Exception):
    """Root of the tree; catch it to separate Driftless's errors from programming errors."""


class RetryableError(DriftlessError):
    """The same call may succeed later."""


class StoreUnavailable(RetryableError):
    """A service did not respond, or returned a server error."""


class Throttled(RetryableError):
    """A service limits the request rate."""


class Conflict(RetryableError):
    """A conditional write lost a race; read again and decide again."""


class TerminalError(DriftlessError):
    """The call fails again until a person or new data changes something."""


class BadProject(TerminalError):
    """A project definition is wrong.

    Parameters
    ----------
    file : str
        The file, as the user would name it.
    key : str
        Dotted path of the offending key, empty when the file as a whole is meant.
    reason, fix : str
        What is wrong, and what to write instead.
    line : int or None
        One-based line in ``file`` when it is known.
    """

    def __init__(self, file: str, key: str, reason: str, fix: str, line: int | None = None) -> None:
        self.file, self.key, self.reason, self.fix, self.line = file, key, reason, fix, line
        where = f"{file}:{line}" if line is not None else file
        named = f" {key}:" if key else ""
        super().__init__(f"{where}:{named} {reason}. Fix: {fix}")


class BadRequest(TerminalError):
    """A request of a client or a person is malformed."""


class NotFound(TerminalError):
    """The named thing does not exist."""


class AccessDenied(TerminalError):
    """The function's role, or the person's credentials, lack a permission."""


class DataRejected(TerminalError):
    """An input file cannot be accepted as a whole."""


class OutOfResources(TerminalError):
    """A function's own memory or scratch space is too small for its input; no fault of whoever sent it."""


class NotEnoughData(TerminalError):
    """Too few rows, labels or days to decide anything."""


class CandidateRefused(TerminalError):
    """scikit-learn cannot fit a candidate's parameters to this data."""


class LeakageFound(TerminalError):
    """A feature carries what is only known later."""


class ExportRefused(TerminalError):
    """The fitted model has no faithful ONNX form."""


class UnsupportedVersion(TerminalError):
    """An installed package is not the version that this release relies on."""


class IntegrityError(TerminalError):
    """A digest does not match what was recorded."""


class SignatureInvalid(TerminalError):
    """A manifest is unsigned, or signed by no trusted key."""


class IllegalMove(TerminalError):
    """A promotion, rollback or approval that the registry's state does not allow."""
