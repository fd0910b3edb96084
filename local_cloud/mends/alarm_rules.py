"""Decide the state of a metric alarm, as "Evaluating an alarm" describes it; without the emulator.

Periods are aligned to the clock. CloudWatch evaluates more periods than ``EvaluationPeriods`` (the evaluation range)
and prefers real datapoints: missing datapoints are filled in only when the range has fewer real ones than
``EvaluationPeriods``. Here the current period counts as soon as it has a datapoint, so that an alarm changes its state
in about a second; AWS waits until the period is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: Periods evaluated in addition to ``EvaluationPeriods``, as in the examples of the AWS documentation.
EXTRA_PERIODS = 2

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


@dataclass(frozen=True)
class AlarmRule:
    """The settings of an alarm that decide its state.

    Attributes
    ----------
    comparison : str
        A ``ComparisonOperator`` of CloudWatch.
    threshold : float
        In the metric's unit.
    period : int
        Seconds.
    evaluation_periods, datapoints_to_alarm : int
        The N and the M of "M out of N".
    missing : str
        ``missing``, ``ignore``, ``breaching`` or ``notBreaching``.
    """

    comparison: str
    threshold: float
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: str


@dataclass(frozen=True)
class Decision:
    """A state, its reason and its datapoints, newest first, as (start of period in seconds, value)."""

    state: str
    reason: str
    datapoints: tuple[tuple[int, float], ...]


def window(rule: AlarmRule, now: float, has_data: Callable[[int], bool]) -> list[int]:
    """Return the starts of the periods in the evaluation range, newest first, in seconds since the epoch."""
    current = math.floor(now / rule.period) * rule.period
    newest = current if has_data(current) else current - rule.period
    return [newest - back * rule.period for back in range(rule.evaluation_periods + EXTRA_PERIODS)]


def oldest(rule: AlarmRule, now: float) -> float:
    """Return the start of the oldest period that :func:`window` may return; earlier datapoints do not count."""
    return math.floor(now / rule.period) * rule.period - (rule.evaluation_periods + EXTRA_PERIODS) * float(rule.period)


def decide(rule: AlarmRule, periods: Sequence[int], values: Mapping[int, float]) -> Decision | None:
    """Decide the state of an alarm.

    Parameters
    ----------
    rule : AlarmRule
        The alarm's settings.
    periods : sequence of int
        The evaluation range, newest first, as :func:`window` returns it.
    values : mapping of int to float
        The statistic of each period that has datapoints.

    Returns
    -------
    Decision or None
        None when the current state stays.
    """
    breaches = _COMPARE[rule.comparison]
    needed = rule.datapoints_to_alarm
    real = [(start, values[start]) for start in periods if start in values][: rule.evaluation_periods]
    filled = rule.evaluation_periods - len(real)
    breaching = sum(breaches(value, rule.threshold) for _, value in real)
    if filled == 0:
        return _judged(rule, real, "ALARM" if breaching >= needed else "OK", breaching)
    if rule.missing == "breaching":
        return _judged(rule, real, "ALARM" if breaching + filled >= needed else "OK", breaching, filled)
    if rule.missing == "notBreaching":
        return _judged(rule, real, "ALARM" if breaching >= needed else "OK", breaching, filled)
    if not real:
        if rule.missing == "ignore":
            return None
        count = rule.evaluation_periods
        unknown = "1 datapoint was unknown" if count == 1 else f"{count} datapoints were unknown"
        return Decision("INSUFFICIENT_DATA", f"Insufficient Data: {unknown}.", ())
    if breaching >= needed:
        return _judged(rule, real, "ALARM", breaching)
    if breaching < len(real):
        return _judged(rule, real, "OK", breaching)
    # All datapoints breach, but there are too few ("Avoiding premature transitions to alarm state").
    if rule.missing == "ignore":
        return None
    age_of_oldest = list(periods).index(real[-1][0]) + 1
    return _judged(rule, real, "ALARM" if age_of_oldest >= needed else "OK", breaching)


def _judged(rule: AlarmRule, real: list[tuple[int, float]], state: str, breaching: int, filled: int = 0) -> Decision:
    """Return the decision with a reason in CloudWatch's words."""
    count = breaching if state == "ALARM" else len(real) - breaching
    if filled:
        treated = "[Breaching]" if rule.missing == "breaching" else "[NonBreaching]"
        plural = "datapoint was" if filled == 1 else "datapoints were"
        reason = f"Threshold Crossed: {filled} missing {plural} treated as {treated}."
        if real:
            reason += f" Datapoints: {[value for _, value in real]}; threshold {rule.threshold}."
        return Decision(state, reason, tuple(real))
    minimum = rule.datapoints_to_alarm if state == "ALARM" else rule.evaluation_periods - rule.datapoints_to_alarm + 1
    values = ", ".join(str(value) for _, value in real)
    negation = "" if state == "ALARM" else "not "
    verb = "was" if count == 1 else "were"
    reason = (
        f"Threshold Crossed: {count} out of the last {len(real)} datapoints [{values}] {verb} {negation}"
        f"{_WORDS[rule.comparison]} the threshold ({rule.threshold}) "
        f"(minimum {minimum} datapoint{'s' if minimum != 1 else ''} for a transition to {state})."
    )
    return Decision(state, reason, tuple(real))
