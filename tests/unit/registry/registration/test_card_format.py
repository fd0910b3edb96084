"""The bytes of the model card: a card that an earlier release stored is read, and a new one has the same bytes.

``cards/report.json`` is a report, and ``cards/card.json`` and ``cards/card.md`` are the card that the release that built cards as
dictionaries wrote for it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftless.definition.project import Project
from driftless.errors import IntegrityError
from driftless.modelling.card import parse_card
from driftless.records import Candidate, FailedCandidate, GateResult, RegistrationRequest
from driftless.registry.registration import Register
from driftless.testing.memory import MemoryStore
from driftless.testing.memory_registry import MemoryRegistry, MemorySigner
from tests.unit.registry.registration import scene
from tests.unit.training.fit.scene import project as demo

STORED = Path(__file__).parent / "cards"
CREATED = datetime(2026, 1, 1, 12, 30, 0, 250, tzinfo=UTC)
REWORDED = {
    "later seasons and regimes are unseen, monitoring watches for them.": "later periods are unseen; monitoring tests for drift.",
    "A prediction's truth is known 0 hours after its event, so harm is seen no sooner.": (
        "A prediction's label is known 0 hours after its event; harm is detected no sooner."
    ),
}
"""Sentences of the limits that have other words since."""


def project() -> Project:
    columns: dict[str, Any] = {
        "speed": {"type": "number", "nullable": True, "range": [0, None], "description": "km/h | measured"},
        "colour": {"type": "category", "allowed": ["red", "é"], "pii": True, "reviewed": "known before the event"},
        "city": {"type": "category"},
    }
    return demo(
        name="flights",
        features={"base": "events", "columns": columns},
        gates={"primary": "auc", "slices": ["colour"], "protected": ["colour"]},
        owner="Team A",
        intended_use="Tests only.",
    )


def request(store: MemoryStore) -> RegistrationRequest:
    changed: dict[str, Any] = {
        "gates": [GateResult(gate="champion", passed=False, observed=None, required="> 0", reason="too few days")],
        "metrics": {"log_loss": 0.5, "auc": 1.0, "brier": 0.25},
        "champion_metrics": {"log_loss": 0.6, "auc": 0.75},
        "champion_version": 4,
        "report": store.put("runs/flights/run-1/evaluation/a.json", (STORED / "report.json").read_bytes()),
    }
    registration = scene.request(store, decision="refuse", **changed)
    failed = FailedCandidate(candidate=Candidate(index=2, parameters={"depth": 3}), failure="out of memory")
    parameters = {"learning_rate": 0.05, "depth": 3, "loss": "log_loss", "seed": None}
    model = registration.model.model_copy(update={"failed_candidates": [failed], "parameters": parameters})
    return registration.model_copy(update={"model": model})


def stored(name: str) -> bytes:
    """A file that the earlier release wrote, with the sentences of this one."""
    text = (STORED / name).read_text()
    for old, new in REWORDED.items():
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def registered(store: MemoryStore, registration: RegistrationRequest) -> None:
    signer = MemorySigner()
    registry = MemoryRegistry(clock=lambda: CREATED)
    Register(artifacts=store, registry=registry, signer=signer, projects={"flights": project()}, clock=lambda: CREATED)(
        registration
    )


@pytest.mark.parametrize("name", ["card.json", "card.md"])
def test_a_card_has_the_bytes_that_the_earlier_release_wrote(name: str) -> None:
    store = MemoryStore()
    registered(store, request(store))
    assert store.get(f"models/flights/1/{name}") == stored(name)


def test_a_stored_card_is_read_without_loss() -> None:
    content = (STORED / "card.json").read_bytes()
    card = parse_card("models/flights/1/card.json", content)
    assert json.loads(card.model_dump_json()) == json.loads(content)
    assert card.model.created_at == CREATED
    assert card.decision.reasons == ["beats the naive predictor"]


def test_keys_of_a_later_release_are_kept_in_a_card() -> None:
    later = {**json.loads((STORED / "card.json").read_bytes()), "added": 1}
    assert json.loads(parse_card("card.json", json.dumps(later).encode()).model_dump_json()) == later


def test_content_that_is_no_card_is_refused_by_name() -> None:
    with pytest.raises(IntegrityError, match=r"^models/flights/1/card\.json is no model card this release reads: lineage: "):
        parse_card("models/flights/1/card.json", (STORED / "card.json").read_bytes().replace(b'"lineage"', b'"line"'))


def test_a_report_that_cannot_be_read_stops_registration_by_name() -> None:
    store = MemoryStore()
    registration = request(store)
    report = store.put("runs/flights/run-1/evaluation/b.json", b"{}")
    evaluation = registration.evaluation.model_copy(update={"report": report})
    with pytest.raises(IntegrityError, match=r"^runs/flights/run-1/evaluation/b\.json is no evaluation report"):
        registered(store, registration.model_copy(update={"evaluation": evaluation}))


def test_a_card_of_another_form_is_replaced_while_no_manifest_seals_the_folder() -> None:
    store = MemoryStore()
    registration = request(store)
    store.put("models/flights/1/card.json", b"{}")
    registered(store, registration)
    assert store.get("models/flights/1/card.json") == stored("card.json")
