"""The gates: each is a pure function from scored predictions to a result with its figures in words.

A comparison passes only when the whole confidence interval of the difference is on the better side. A challenger that may be no
better is refused, because replacing the champion is a risk. Differences are signed so that positive is better.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftless.definition.learning import HIGHER_IS_BETTER, AbsoluteGate, Gates
from driftless.definition.project import Project
from driftless.evaluation.case import Case
from driftless.modelling.intervals import MINIMUM_BLOCKS, Interval, difference_interval
from driftless.modelling.metrics import Scored, measure
from driftless.records import GateResult

Blocks = NDArray[np.int64]


def judge(project: Project, case: Case) -> list[GateResult]:
    """Every gate but parity: the naive predictor, absolute bounds, and the champion overall and slice by slice."""
    policy = project.gates
    results = [naive_gate(policy, case.challenger, case.naive, case.naive_metric, case.blocks)]
    results += [absolute_gate(bound, case.challenger) for bound in policy.absolute]
    if case.champion is None or case.champion_version is None:
        return results
    fair, seen = unseen_rows(case.times, case.champion_train_end, project.split.minimum_holdout_rows)
    blocks = _renumbered(case.blocks[fair])
    challenger, champion = case.challenger.take(fair), case.champion.take(fair)
    results.append(champion_gate(policy, challenger, champion, blocks, case.champion_version, seen))
    for column in policy.slices:
        for value, mask in case.groups[column].items():
            if int(mask[fair].sum()) >= policy.slice_minimum_rows:
                results.append(slice_gate(policy, f"{column}={value}", mask[fair], challenger, champion, blocks))
    return results


def better_by(gates: Gates, metric: str, challenger: Scored, other: Scored, blocks: Blocks) -> Interval:
    """Interval of how much better the challenger is, in the metric's own units, positive is better."""
    found = difference_interval(metric, challenger, other, blocks, confidence=gates.confidence, resamples=gates.resamples)
    if metric in HIGHER_IS_BETTER:
        return found
    return Interval(-found.estimate, -found.high, -found.low, found.blocks)


def naive_gate(gates: Gates, challenger: Scored, naive: Scored, metric: str, blocks: Blocks) -> GateResult:
    """The challenger must beat the naive predictor by the estimate.

    Only a comparison that can replace a champion needs confidence. Against the naive predictor no champion is lost, and a
    hold-out with a few unusual days can leave the interval undecided for a good model. The absolute bounds still apply.
    """
    interval = better_by(gates, metric, challenger, naive, blocks)
    words = _words(gates, metric, challenger, naive, interval, "the naive predictor's")
    sure, undecided = _decided(interval, 0.0)
    passed = bool(np.isfinite(interval.estimate) and interval.estimate > 0)
    required = f"{metric} better than the naive predictor's"
    return GateResult(
        gate="naive",
        passed=passed,
        observed=_number(interval.estimate),
        required=required,
        reason=words + ("" if sure else undecided),
    )


def absolute_gate(bound: AbsoluteGate, challenger: Scored) -> GateResult:
    """One metric within its inclusive bounds; an undefined metric does not pass."""
    value = measure(bound.metric, challenger)
    limits = [("at least", bound.minimum, value), ("at most", bound.maximum, value)]
    required = " and ".join(f"{word} {limit:g}" for word, limit, _ in limits if limit is not None)
    passed = bool(
        np.isfinite(value)
        and (bound.minimum is None or value >= bound.minimum)
        and (bound.maximum is None or value <= bound.maximum)
    )
    measured = f"{bound.metric} is {value:.4f}" if np.isfinite(value) else f"{bound.metric} is undefined on this hold-out"
    reason = f"{measured}, required is {required}"
    return GateResult(gate=f"absolute:{bound.metric}", passed=passed, observed=_number(value), required=required, reason=reason)


def champion_gate(gates: Gates, challenger: Scored, champion: Scored, blocks: Blocks, version: int, seen: str) -> GateResult:
    """The challenger must beat the champion by more than the margin with confidence.

    Parameters
    ----------
    seen : str
        A remark about the champion's own training data; empty when there is none.
    """
    metric = gates.primary
    interval = better_by(gates, metric, challenger, champion, blocks)
    words = _words(gates, metric, challenger, champion, interval, f"champion {version}'s")
    passed, undecided = _decided(interval, gates.margin)
    required = f"{metric} better than the champion's by more than {gates.margin:g} with {gates.confidence:.0%} confidence"
    reason = words + undecided + (f" ({seen})" if seen else "")
    return GateResult(gate="champion", passed=passed, observed=_number(interval.estimate), required=required, reason=reason)


def slice_gate(
    gates: Gates, name: str, mask: NDArray[np.bool_], challenger: Scored, champion: Scored, blocks: Blocks
) -> GateResult:
    """One slice: it fails when the challenger is worse than the champion by more than the margin, with confidence.

    A slice with rows on too few days for an interval passes, and the reason says so.
    """
    part, other = challenger.take(mask), champion.take(mask)
    interval = better_by(gates, gates.primary, part, other, _renumbered(blocks[mask]))
    enough = interval.blocks >= MINIMUM_BLOCKS
    worse = bool(enough and np.isfinite(interval.high) and interval.high < -gates.slice_margin)
    required = f"{gates.primary} not surely worse than the champion's by more than {gates.slice_margin:g}"
    reason = _words(gates, gates.primary, part, other, interval, "the champion's") + ("" if enough else _too_few(interval))
    observed = _number(interval.estimate)
    return GateResult(gate=f"slice:{name}", passed=not worse, observed=observed, required=required, reason=reason)


def unseen_rows(times: NDArray[np.datetime64], train_end: datetime | None, minimum_rows: int) -> tuple[NDArray[np.bool_], str]:
    """The hold-out rows on which a champion can be judged fairly, and a remark about them.

    A champion looks better than it is on rows that it was trained on. Where enough of the hold-out is later than its training
    data, only those rows count. Otherwise all rows count: they favour the champion, so a challenger that still wins is better.
    """
    everything = np.ones(len(times), dtype=bool)
    if train_end is None:
        return everything, ""
    end = np.datetime64(train_end.replace(tzinfo=None), "us")
    unseen = times >= end
    seen = int((~unseen).sum())
    if seen == 0:
        return everything, ""
    days = len(np.unique(times[unseen].astype("datetime64[D]")))
    overlap = f"the champion was trained on {seen} of these {len(times)} hold-out rows, up to {train_end:%Y-%m-%d %H:%M}"
    if days >= MINIMUM_BLOCKS and int(unseen.sum()) >= minimum_rows:
        return unseen, f"{overlap}, and is compared on the others"
    return everything, f"{overlap}, which favours it"


def _decided(interval: Interval, margin: float) -> tuple[bool, str]:
    if interval.blocks < MINIMUM_BLOCKS:
        return False, _too_few(interval)
    if not np.isfinite(interval.low):
        return False, "; undecided, because the metric is undefined here"
    if interval.low > margin:
        return True, ""
    return False, "; surely worse" if interval.high < margin else "; not surely better"


def _too_few(interval: Interval) -> str:
    return f"; undecided, because {interval.blocks} blocks are fewer than the {MINIMUM_BLOCKS} an interval needs"


def _words(gates: Gates, metric: str, ours: Scored, other: Scored, interval: Interval, whose: str) -> str:
    kind = "days" if gates.block == "day" else "rows"
    return (
        f"{metric} {measure(metric, ours):.4f} against {whose} {measure(metric, other):.4f}: better by {interval.estimate:.4f}, "
        f"{gates.confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f} over {interval.blocks} {kind}"
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _renumbered(blocks: Blocks) -> Blocks:
    return np.unique(blocks, return_inverse=True)[1].astype(np.int64)
