"""The page at ``/docs``: requests and responses as plain HTML.

It loads no script and no style sheet, so it works in a private network and behind any stage prefix.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from driftless.definition.features import FeatureColumn
from driftless.definition.project import Project
from driftless.serving.inference.schema import ROUTING_KEY, event_time_column, has_routing_key

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}"
    "pre{background:#f3f4f6;padding:1rem;overflow:auto}code{font-family:ui-monospace,monospace}"
)


def describe_api(projects: Sequence[Project]) -> str:
    """One HTML page about all projects."""
    sections = "".join(_section(project) for project in projects)
    contents = "".join(f'<li><a href="#{escape(p.name)}">{escape(p.title)}</a></li>' for p in projects)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Driftless predictions</title>'
        f"<style>{_STYLE}</style></head><body><h1>Driftless predictions</h1>"
        f'<p>Machine-readable: <a href="openapi.json">openapi.json</a>. State: <a href="health">health</a>.</p>'
        f"<ul>{contents}</ul>{sections}</body></html>"
    )


def example_request(project: Project) -> dict[str, Any]:
    """A request that the project's schema accepts."""
    record = {name: _example(feature) for name, feature in project.features.columns.items()}
    return {"records": [record]}


def _section(project: Project) -> str:
    rows = "".join(_row(name, feature) for name, feature in project.features.columns.items())
    when = event_time_column(project)
    if when is not None:
        rows += _cells(when, "ISO 8601 time", "optional", "", "when it happens; default: now")
    if has_routing_key(project):
        rows += _cells(ROUTING_KEY, "string", "optional", "", "records with the same key are predicted by the same model")
    request = escape(json.dumps(example_request(project), indent=2))
    name = escape(project.name)
    return (
        f'<h2 id="{name}">{escape(project.title)}</h2><p>{escape(project.description)} {escape(project.intended_use)}</p>'
        f"<p><code>POST {name}/predictions</code>, at most {project.serving.max_records} records a request. "
        f'What serves now: <a href="{name}/model">{name}/model</a>.</p>'
        f"<table><tr><th>field</th><th>type</th><th>null</th><th>values</th><th></th></tr>{rows}</table>"
        f"<pre>{request}</pre>"
        f"<p>The response names the model version and gives each prediction an id. Send its label later to "
        f"<code>POST {name}/labels</code> as <code>"
        f"{escape(json.dumps({'labels': [{'id': '…', 'label': _label(project)}]}, ensure_ascii=False))}</code>.</p>"
    )


def _row(name: str, feature: FeatureColumn) -> str:
    low, high = feature.range or (None, None)
    if feature.allowed:
        values = ", ".join(feature.allowed)
    elif feature.range:
        values = f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}"
    else:
        values = ""
    return _cells(name, feature.type, "optional" if feature.nullable else "required", values, feature.description)


def _cells(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _example(feature: FeatureColumn) -> Any:
    if feature.type == "category":
        return feature.allowed[0] if feature.allowed else "text"
    if feature.type == "boolean":
        return True
    low, high = feature.range or (None, None)
    value = low if low is not None else high if high is not None else 1
    if feature.type == "integer":
        return int(value) if value == int(value) else int(value) + 1
    return value


def _label(project: Project) -> Any:
    if project.task == "binary":
        return True
    return project.target.classes[0] if project.target.classes else 1.5
