"""The model card: purpose, training data, metrics by slice and group, gates, decision and limits of a version.

``card.json`` is for programs; ``card.md`` is a page rendered from ``card.json`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from driftless.definition.features import FeatureColumn
from driftless.definition.project import Project
from driftless.records import EvaluationRecord, RegistrationRequest


def model_card(
    project: Project, request: RegistrationRequest, *, version: int, created_at: datetime, report: Mapping[str, Any]
) -> dict[str, Any]:
    """The card as plain JSON.

    Parameters
    ----------
    report : mapping
        The evaluation's report: confidence intervals, slices and protected groups are taken from it.
    """
    dataset, evaluation = request.dataset, request.evaluation
    return {
        "schema": 1,
        "model": {
            "name": project.name,
            "version": version,
            "title": project.title,
            "task": project.task,
            "owner": project.owner,
            "estimator": project.model.estimator,
            "parameters": request.model.parameters,
            "failed_candidates": [failed.model_dump(mode="json") for failed in request.model.failed_candidates],
            "created_at": created_at.isoformat(),
        },
        "purpose": {"description": project.description, "intended_use": project.intended_use},
        "license": project.license,
        "data": {
            "tables": [table.model_dump(mode="json") for table in dataset.tables],
            "train": _window(dataset.train_start, dataset.train_end, dataset.train_rows),
            "holdout": _window(dataset.train_end, dataset.holdout_end, dataset.holdout_rows),
            "target": {"name": project.target.name, "expression": project.target.expression},
            "features": [_feature(name, column) for name, column in project.features.columns.items()],
        },
        "metrics": _metrics(evaluation, report),
        "slices": _slices(report),
        "protected": report["protected"],
        "gates": [gate.model_dump(mode="json") for gate in evaluation.gates],
        "decision": {
            "decision": evaluation.decision,
            "reasons": evaluation.reasons,
            "compared_with": evaluation.champion_version,
        },
        "limits": _limits(project, request),
        "lineage": {
            "run_id": request.run.run_id,
            "execution_arn": request.run.execution_arn,
            "reason": request.run.reason,
            "git_commit": dataset.git_commit,
            "features_digest": dataset.features_digest,
            "train": dataset.train.model_dump(mode="json"),
            "holdout": dataset.holdout.model_dump(mode="json"),
            "evaluation": evaluation.report.model_dump(mode="json"),
        },
    }


def render(card: Mapping[str, Any]) -> str:
    """The card as a Markdown page."""
    model, data, decision, lineage = card["model"], card["data"], card["decision"], card["lineage"]
    compared = f"version {decision['compared_with']}" if decision["compared_with"] is not None else "no champion"
    sections = [
        f"# {model['title'] or model['name']}, version {model['version']}",
        f"{card['purpose']['description']}\n\nDecision: **{decision['decision']}** (compared with {compared}).",
        _bullets(decision["reasons"]),
        "## Purpose",
        card["purpose"]["intended_use"] or "Not stated by the owner.",
        f"Owner: {model['owner'] or 'not stated'}. Licence: {card['license'] or 'not stated'}.",
        "## Metrics on the hold-out",
        _table(
            ("metric", "value", "confidence interval", "champion"),
            ((name, entry["value"], _interval(entry["interval"]), entry["champion"]) for name, entry in card["metrics"].items()),
        ),
        "## Gates",
        _table(
            ("gate", "passed", "observed", "required", "reason"),
            (
                (gate["gate"], "yes" if gate["passed"] else "no", gate["observed"], gate["required"], gate["reason"])
                for gate in card["gates"]
            ),
        ),
        "## Slices",
        _records(card["slices"]) or "No slices are defined.",
        *_protected(card["protected"]),
        "## Data",
        _table(
            ("dataset", "table", "version", "rows"),
            ((table["dataset"], table["table"], table["version"], table["rows"]) for table in data["tables"]),
        ),
        _table(
            ("part", "from", "to (excluded)", "rows"),
            ((part, data[part]["start"], data[part]["end"], data[part]["rows"]) for part in ("train", "holdout")),
        ),
        f"Target `{data['target']['name']}`: `{data['target']['expression']}`.",
        _table(
            ("feature", "type", "null allowed", "personal", "description"),
            ((entry["name"], entry["type"], entry["nullable"], entry["pii"], entry["description"]) for entry in data["features"]),
        ),
        "## Limits",
        _bullets(card["limits"]),
        "## Lineage",
        _bullets(
            [f"{name}: `{lineage[name]}`" for name in ("run_id", "execution_arn", "reason", "git_commit", "features_digest")]
        ),
        f"Estimator `{model['estimator']}`, parameters `{model['parameters']}`, registered {model['created_at']}.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _window(start: datetime, end: datetime, rows: int) -> dict[str, Any]:
    return {"start": start.isoformat(), "end": end.isoformat(), "rows": rows}


def _feature(name: str, column: FeatureColumn) -> dict[str, Any]:
    return {"name": name, **column.model_dump(mode="json")}


def _metrics(evaluation: EvaluationRecord, report: Mapping[str, Any]) -> dict[str, Any]:
    champion, confidence = evaluation.champion_metrics or {}, report["confidence"]
    intervals = {name: {"confidence": confidence, "low": low, "high": high} for name, (low, high) in report["intervals"].items()}
    return {
        name: {"value": value, "interval": intervals.get(name), "champion": champion.get(name)}
        for name, value in sorted(evaluation.metrics.items())
    }


def _slices(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The primary metric per slice, for challenger and champion."""
    return [
        {
            "slice": part["slice"],
            "rows": int(part["rows"]),
            "metric": part["metric"],
            "value": part.get("challenger"),
            "champion": part.get("champion"),
        }
        for part in report["slices"]
    ]


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


def _protected(protected: Mapping[str, Any]) -> Iterable[str]:
    """A section per protected attribute: each group's figures, and the gaps between groups."""
    for column, found in protected.items():
        yield f"## Protected attribute {column}"
        yield _records([{"group": group, **figures} for group, figures in found["groups"].items()])
        yield _bullets([f"{name} differs by {_cell(gap)} between groups" for name, gap in found["gaps"].items()])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    body = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *body])


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    """A table of records; a field that only some of them have is blank in the others."""
    if not records:
        return ""
    header = list(dict.fromkeys(name for record in records for name in record))
    return _table(header, ([record.get(name) for name in header] for record in records))


def _interval(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return ""
    return f"{_cell(interval['low'])} to {_cell(interval['high'])} ({interval['confidence']:.0%})"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
