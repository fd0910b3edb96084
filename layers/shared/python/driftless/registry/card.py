"""The model card: purpose, training data, metrics by slice and group, gates, decision and limits of a version.

``card.json`` is for programs; ``card.md`` is a page rendered from ``card.json`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from driftless.definition.project import Project
from driftless.modelling.card import (
    CardData,
    CardDecision,
    CardFeature,
    CardInterval,
    CardMetric,
    CardModel,
    CardSlice,
    CardTarget,
    Lineage,
    ModelCard,
    Purpose,
    Window,
)
from driftless.modelling.evaluation_report import EvaluationReport, ProtectedGroups, Slice
from driftless.records import EvaluationRecord, RegistrationRequest


def model_card(
    project: Project, request: RegistrationRequest, *, version: int, created_at: datetime, report: EvaluationReport
) -> ModelCard:
    """The card of a run's model.

    Parameters
    ----------
    report : EvaluationReport
        Confidence intervals, slices and protected groups are taken from it.
    """
    dataset, evaluation = request.dataset, request.evaluation
    return ModelCard(
        model=CardModel(
            name=project.name,
            version=version,
            title=project.title,
            task=project.task,
            owner=project.owner,
            estimator=project.model.estimator,
            parameters=request.model.parameters,
            failed_candidates=request.model.failed_candidates,
            created_at=created_at,
        ),
        purpose=Purpose(description=project.description, intended_use=project.intended_use),
        license=project.license,
        data=CardData(
            tables=dataset.tables,
            train=Window(start=dataset.train_start, end=dataset.train_end, rows=dataset.train_rows),
            holdout=Window(start=dataset.train_end, end=dataset.holdout_end, rows=dataset.holdout_rows),
            target=CardTarget(name=project.target.name, expression=project.target.expression),
            features=[CardFeature(name=name, **column.model_dump()) for name, column in project.features.columns.items()],
        ),
        metrics=_metrics(evaluation, report),
        slices=[_slice(part) for part in report.slices],
        protected=report.protected,
        gates=evaluation.gates,
        decision=CardDecision(
            decision=evaluation.decision, reasons=evaluation.reasons, compared_with=evaluation.champion_version
        ),
        limits=_limits(project, request),
        lineage=Lineage(
            run_id=request.run.run_id,
            execution_arn=request.run.execution_arn,
            reason=request.run.reason,
            git_commit=dataset.git_commit,
            features_digest=dataset.features_digest,
            train=dataset.train,
            holdout=dataset.holdout,
            evaluation=evaluation.report,
        ),
    )


def render(card: ModelCard) -> str:
    """The card as a Markdown page."""
    model, data, decision, lineage = card.model, card.data, card.decision, card.lineage
    compared = f"version {decision.compared_with}" if decision.compared_with is not None else "no champion"
    sections = [
        f"# {model.title or model.name}, version {model.version}",
        f"{card.purpose.description}\n\nDecision: **{decision.decision}** (compared with {compared}).",
        _bullets(decision.reasons),
        "## Purpose",
        card.purpose.intended_use or "Not stated by the owner.",
        f"Owner: {model.owner or 'not stated'}. Licence: {card.license or 'not stated'}.",
        "## Metrics on the hold-out",
        _table(
            ("metric", "value", "confidence interval", "champion"),
            ((name, metric.value, _interval(metric.interval), metric.champion) for name, metric in card.metrics.items()),
        ),
        "## Gates",
        _table(
            ("gate", "passed", "observed", "required", "reason"),
            ((gate.gate, "yes" if gate.passed else "no", gate.observed, gate.required, gate.reason) for gate in card.gates),
        ),
        "## Slices",
        _table(
            ("slice", "rows", "metric", "value", "champion"),
            ((part.slice, part.rows, part.metric, part.value, part.champion) for part in card.slices),
        )
        or "No slices are defined.",
        *_protected(card.protected),
        "## Data",
        _table(
            ("dataset", "table", "version", "rows"),
            ((table.dataset, table.table, table.version, table.rows) for table in data.tables),
        ),
        _table(
            ("part", "from", "to (excluded)", "rows"),
            (
                (name, part.start.isoformat(), part.end.isoformat(), part.rows)
                for name, part in (("train", data.train), ("holdout", data.holdout))
            ),
        ),
        f"Target `{data.target.name}`: `{data.target.expression}`.",
        _table(
            ("feature", "type", "null allowed", "personal", "description"),
            ((column.name, column.type, column.nullable, column.pii, column.description) for column in data.features),
        ),
        "## Limits",
        _bullets(card.limits),
        "## Lineage",
        _bullets(
            [
                f"run_id: `{lineage.run_id}`",
                f"execution_arn: `{lineage.execution_arn}`",
                f"reason: `{lineage.reason}`",
                f"git_commit: `{lineage.git_commit}`",
                f"features_digest: `{lineage.features_digest}`",
            ]
        ),
        f"Estimator `{model.estimator}`, parameters `{model.parameters}`, registered {model.created_at.isoformat()}.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metrics(evaluation: EvaluationRecord, report: EvaluationReport) -> dict[str, CardMetric]:
    champion = evaluation.champion_metrics or {}
    intervals = {
        name: CardInterval(confidence=report.confidence, low=low, high=high) for name, (low, high) in report.intervals.items()
    }
    return {
        name: CardMetric(value=value, interval=intervals.get(name), champion=champion.get(name))
        for name, value in sorted(evaluation.metrics.items())
    }


def _slice(part: Slice) -> CardSlice:
    return CardSlice(slice=part.slice, rows=part.rows, metric=part.metric, value=part.challenger, champion=part.champion)


def _limits(project: Project, request: RegistrationRequest) -> list[str]:
    """What the definition and the data say about where this version must not be trusted."""
    dataset = request.dataset
    limits = [
        f"Fitted on events from {dataset.train_start:%Y-%m-%d} to {dataset.train_end:%Y-%m-%d} and judged on those until "
        f"{dataset.holdout_end:%Y-%m-%d}; later periods are unseen; monitoring tests for drift.",
        f"A prediction's label is known {project.target.label_delay_hours:g} hours after its event; harm is detected no sooner.",
    ]
    for left_out in request.model.failed_candidates:
        limits.append(f"Candidate {left_out.candidate.index} was not compared with: {left_out.failure}.")
    bounded = [name for name, column in project.features.columns.items() if column.range or column.allowed]
    if bounded:
        limits.append(f"Inputs outside their declared ranges or values are refused: {', '.join(bounded)}.")
    free = [name for name, column in project.features.columns.items() if column.type == "category" and not column.allowed]
    if free:
        limits.append(f"Categories never seen in training are predicted as unknown ones: {', '.join(free)}.")
    if project.gates.protected:
        limits.append(f"Fairness was judged over {', '.join(project.gates.protected)} only.")
    else:
        limits.append("No protected attribute is defined: nothing was measured about fairness.")
    failed = [gate.gate for gate in request.evaluation.gates if not gate.passed]
    if failed:
        limits.append(f"Failed gates: {', '.join(failed)}.")
    return limits


def _protected(protected: Mapping[str, ProtectedGroups]) -> Iterable[str]:
    """A section per protected attribute: each group's figures, and the gaps between groups."""
    for column, found in protected.items():
        yield f"## Protected attribute {column}"
        yield _records([{"group": group, **figures} for group, figures in found.groups.items()])
        yield _bullets([f"{name} differs by {_cell(gap)} between groups" for name, gap in found.gaps.items()])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    body = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *body])


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    """A table of mappings; a key that only some of them have is blank in the others."""
    if not records:
        return ""
    header = list(dict.fromkeys(name for record in records for name in record))
    return _table(header, ([record.get(name) for name in header] for record in records))


def _interval(interval: CardInterval | None) -> str:
    if interval is None:
        return ""
    return f"{_cell(interval.low)} to {_cell(interval.high)} ({interval.confidence:.0%})"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
