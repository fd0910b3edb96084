"""Windows with known labels, from prediction log lines to levels."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from driftless.errors import IntegrityError, NotFound
from driftless.monitoring import step
from driftless.records import MonitoringRequest
from tests.unit.monitoring.conftest import NOW, START, Monitored, binary, inputs
from tests.unit.monitoring.windows import COUNT, Build, filled, signal


def triggered(case: Monitored, *triggers: str) -> Monitored:
    """The same project, in which only these signals trigger a retraining."""
    retraining = case.project.retraining.model_copy(update={"triggers": triggers})
    case.project = case.project.model_copy(update={"retraining": retraining})
    return case


def test_a_window_like_training_raises_nothing(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case)
    record = case.judge()
    assert (record.drift_level, record.harm_level) == (0, 0)
    assert (record.version, record.predictions, record.labels) == (1, COUNT, COUNT)
    assert [item.name for item in record.signals if item.level] == []
    assert record.metrics["log_loss"] == pytest.approx(0.56, abs=0.04)
    assert record.window_end == START + timedelta(days=20 * (COUNT - 1) / COUNT)
    assert {item.name for item in record.signals} >= {"harm", "temp", "seats", "origin", "carrier", "night", "output.p_true"}
    assert case.published() == {
        "DriftLevel": 0.0,
        "HarmLevel": 0.0,
        "WindowPredictions": COUNT,
        "WindowLabels": COUNT,
        "PrimaryMetric": record.metrics["log_loss"],
        "PrimaryMetricReference": 0.56,
        "UncollectedPredictions": 0.0,
    }
    assert case.metrics.published[-1][2] == {"Stage": "test", "Project": "demo"}


def test_a_shifted_feature_is_drift_without_harm(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case, shift=15)
    record = case.judge()
    assert (record.drift_level, record.harm_level) == (1, 0)
    assert signal(record.signals, "temp").level == 2
    assert signal(record.signals, "seats").level == 0


def test_a_large_share_of_shifted_features_is_an_alert(monitored: Build) -> None:
    case = monitored(drifted_share=0.2)
    filled(case, shift=15)
    assert case.judge().drift_level == 2
    assert case.published()["DriftLevel"] == 2.0


def test_wrong_predictions_are_harm_without_drift(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case, wrong=0.4)
    record = case.judge()
    assert (record.drift_level, record.harm_level) == (0, 2)
    assert "beyond doubt" in signal(record.signals, "harm").reason
    assert case.published()["HarmLevel"] == 2.0


def test_too_few_days_only_warn(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case, wrong=0.4, days=3)
    assert case.judge().harm_level == 1


def test_too_few_labels_say_so_and_raise_nothing(monitored: Build) -> None:
    case = monitored(minimum_labels=COUNT + 1)
    filled(case, wrong=0.5)
    record = case.judge()
    assert (record.harm_level, record.metrics) == (0, {})
    assert "1000 labels, fewer than the 1001" in signal(record.signals, "harm").reason


def test_too_few_predictions_say_so_and_raise_nothing(monitored: Build) -> None:
    case = monitored(minimum_predictions=COUNT + 1)
    filled(case, shift=40)
    record = case.judge()
    assert record.drift_level == 0
    assert "1000 predictions, fewer than the 1001" in signal(record.signals, "drift").reason


def test_only_the_champions_predictions_count(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case)
    filled(case, shift=40, wrong=0.5, seed=6, version=2, tag="challenger")
    record = case.judge()
    assert (record.predictions, record.drift_level, record.harm_level) == (COUNT, 0, 0)


def test_only_the_windows_predictions_count(monitored: Build) -> None:
    case = monitored(reference=0.56, window_days=20)
    filled(case)
    filled(case, shift=40, wrong=0.5, seed=6, start=START + timedelta(days=30), tag="later")
    earlier = case.judge(START + timedelta(days=20))
    assert (earlier.predictions, earlier.drift_level, earlier.harm_level) == (COUNT - 1, 0, 0), "the window is open at its start"
    assert case.judge().harm_level == 2, "the default window is the latest"


def test_a_batch_collected_twice_counts_once(monitored: Build) -> None:
    case = monitored(reference=0.56)
    ids = filled(case)
    generator = np.random.default_rng(5)
    columns, chances = inputs(generator, COUNT), generator.beta(2, 5, COUNT)
    case.predict({name: values[:60] for name, values in columns.items()}, binary(chances[:60]), days=1.2)
    record = case.judge()
    assert len(case.lake.list("predictions/demo/")) > 20, "the repeated rows are in objects of their own"
    assert (record.predictions, record.labels) == (len(ids), COUNT)


def test_the_label_observed_last_counts_in_any_order_of_arrival(monitored: Build) -> None:
    case = monitored("regression", reference=1.0)
    generator = np.random.default_rng(1)
    ids = case.predict(inputs(generator, COUNT), [{"prediction": 1.0}] * COUNT)
    case.label(ids, [3.0] * COUNT, observed=NOW)
    case.label(ids, [100.0] * COUNT, observed=NOW - timedelta(days=1), received=NOW + timedelta(days=2))
    record = case.judge()
    assert record.metrics["rmse"] == pytest.approx(2.0)
    assert record.harm_level == 2


def test_late_labels_join_a_window_judged_before(monitored: Build) -> None:
    case = monitored(reference=0.56)
    generator = np.random.default_rng(5)
    chances = generator.beta(2, 5, COUNT)
    ids = case.predict(inputs(generator, COUNT), binary(chances))
    assert case.judge().labels == 0
    case.label(ids, [True] * COUNT, received=NOW + timedelta(days=40))
    again = case.judge()
    assert (again.labels, again.harm_level) == (COUNT, 2)
    assert len(case.registry.monitoring("demo")) == 1, "a window judged again replaces its report"


def test_labels_of_a_multiclass_model_are_classes(monitored: Build) -> None:
    case = monitored("multiclass", reference=0.1)
    generator = np.random.default_rng(1)
    outputs = [{"prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}}] * COUNT
    case.label(case.predict(inputs(generator, COUNT), outputs), ["no", "yes"] * (COUNT // 2))
    record = case.judge()
    assert record.metrics["log_loss"] == pytest.approx((np.log(4) + np.log(4 / 3)) / 2)
    assert record.metrics["accuracy"] == 0.5


def test_persistence_delays_a_level_until_the_next_window(monitored: Build) -> None:
    case = monitored(reference=0.56, persistence=2, window_days=20)
    filled(case, wrong=0.4)
    filled(case, wrong=0.4, seed=6, start=START + timedelta(days=20), tag="second")
    assert case.judge(START + timedelta(days=20)).harm_level == 0
    assert case.judge(START + timedelta(days=20)).harm_level == 0, "the same window judged again is not a second window"
    assert case.judge(START + timedelta(days=40)).harm_level == 2


def test_a_new_champion_starts_its_own_history(monitored: Build) -> None:
    case = monitored(reference=0.56, persistence=2, window_days=20)
    filled(case, wrong=0.4)
    assert case.judge(START + timedelta(days=20)).harm_level == 0
    case.crown(2, reference=0.56)
    filled(case, wrong=0.4, seed=6, start=START + timedelta(days=20), version=2, tag="second")
    assert case.judge(START + timedelta(days=40)).harm_level == 0


def test_a_level_that_stays_raised_is_named_as_alarms_report_changes_only(monitored: Build) -> None:
    case = triggered(monitored(reference=0.56, window_days=20, drifted_share=0.2), "harm", "drift")
    filled(case, wrong=0.4)
    filled(case, wrong=0.4, shift=15, seed=6, start=START + timedelta(days=20), tag="second")
    filled(case, seed=7, start=START + timedelta(days=40), tag="third")
    first, second, third = (START + timedelta(days=days) for days in (20, 40, 60))
    assert case.judge(first).still_raised == [], "newly reached: the alarm reports it"
    assert case.judge(first).still_raised == ["harm"], "the same window again, as no new prediction arrived"
    assert case.judge(second).still_raised == ["harm"]
    assert case.judge(second).still_raised == ["harm", "drift"]
    assert case.judge(third).still_raised == []
    assert case.judge(second).still_raised == [], "what counts is the report made last, not the window before"
    assert case.judge(first).still_raised == ["harm"]


def test_a_level_that_triggers_nothing_is_not_named(monitored: Build) -> None:
    case = triggered(monitored(reference=0.56, window_days=20, drifted_share=0.2), "harm")
    filled(case, wrong=0.4, shift=15)
    assert (case.judge().drift_level, case.judge().still_raised) == (2, ["harm"])


def test_the_report_is_stored_in_the_lake_and_in_the_registry(monitored: Build) -> None:
    case = monitored(reference=0.56, drifted_share=0.2)
    filled(case, shift=15)
    record = case.judge(datetime(2013, 5, 21))
    assert record.report is not None
    assert record.report.key == "monitoring/demo/2013-05-21T000000.000000Z.json"
    report = json.loads(case.lake.get(record.report.key))
    assert (report["drift_level"], report["window_drift_level"], report["interval"]["days"]) == (2, 2, 20)
    assert {item["name"] for item in report["signals"]} == {item.name for item in record.signals}
    (kept,) = case.registry.monitoring("demo")
    assert (kept.drift_level, kept.window_drift_level, kept.report) == (2, 2, record.report)
    assert kept.raised[0].name == "temp"
    assert kept.window_end == datetime(2013, 5, 21, tzinfo=UTC)


def test_the_report_keeps_its_format(monitored: Build) -> None:
    """Reports of earlier releases stay in the lake, and other tools read them."""
    case = monitored(reference=0.56)
    filled(case)
    record = case.monitor()(MonitoringRequest(project="demo", execution_arn="arn:aws:states:execution"))
    assert record.report is not None
    report = json.loads(case.lake.get(record.report.key))
    assert list(report) == [
        *("project", "version", "window_start", "window_end", "predictions", "labels", "drift_level", "harm_level"),
        *("metrics", "reference_metrics", "signals", "uncollected", "still_raised"),
        *("judged_at", "execution_arn", "interval", "window_drift_level", "window_harm_level", "labels_by_day"),
    ]
    assert (report["judged_at"], report["execution_arn"]) == ("2026-03-01T12:00:00+00:00", "arn:aws:states:execution")
    assert list(report["interval"]) == ["low", "high", "days"]
    assert list(report["signals"][0]) == ["name", "level", "statistic", "value", "threshold", "reason"]
    assert report == {**report, **record.model_dump(mode="json", exclude={"report"})}


def test_without_a_champion_or_predictions_there_is_nothing_to_judge(monitored: Build) -> None:
    case = monitored()
    record = case.judge()
    assert (record.version, record.predictions, record.window_end, record.report) == (1, 0, None, None)
    nobody = Monitored(case.project, lake=case.lake)
    filled(nobody)
    assert nobody.judge().signals[0].reason == "no champion serves"
    assert nobody.published()["HarmLevel"] == 0.0


def test_a_baseline_with_another_digest_is_refused(monitored: Build) -> None:
    case = monitored()
    filled(case)
    case.artifacts.put("models/demo/1/baseline.json", b"{}")
    with pytest.raises(IntegrityError, match=r"baseline\.json"):
        case.judge()


def test_an_unknown_project_is_not_found(monitored: Build) -> None:
    case = monitored()
    with pytest.raises(NotFound, match="nobody"):
        case.monitor()(MonitoringRequest(project="nobody"))


def counted(case: Monitored) -> dict[str, int]:
    """Labels by day of May 2013, from the newest report."""
    days: dict[str, int] = case.registry.monitoring("demo")[0].labels_by_day
    assert list(days) == sorted(days)
    return {day.removeprefix("2013-05-"): count for day, count in days.items()}


def test_the_report_counts_labels_by_day_whichever_version_predicted(monitored: Build) -> None:
    case = monitored(reference=0.56, window_days=2)
    filled(case, days=4)
    generator = np.random.default_rng(6)
    shadow = case.predict(inputs(generator, 40), binary(generator.beta(2, 5, 40)), days=1, version=2, tag="challenger")
    case.label(shadow, [True] * 40)
    assert case.judge(START + timedelta(days=2.5)).labels == 500
    assert counted(case) == {"01": 290, "02": 250, "03": 250}, "whole days, although the window starts within one"


def test_overlapping_windows_count_a_label_once_and_late_ones_too(monitored: Build) -> None:
    case = monitored(reference=0.56, window_days=2)
    generator = np.random.default_rng(5)
    ids = case.predict(inputs(generator, COUNT), binary(generator.beta(2, 5, COUNT)), days=4)
    case.label(ids[:300], [True] * 300)
    case.judge(START + timedelta(days=2))
    assert counted(case) == {"01": 250, "02": 50}
    case.label(ids[250:700], [True] * 450, observed=NOW + timedelta(hours=1))
    case.judge(START + timedelta(days=3))
    assert counted(case) == {"01": 250, "02": 250, "03": 200}
    case.judge(START + timedelta(days=4))
    assert counted(case) == {"01": 250, "02": 250, "03": 200}, "days before the window are kept"
    case.judge(START + timedelta(days=365))
    assert counted(case) == {"01": 250, "02": 250, "03": 200}
    case.judge(START + timedelta(days=368))
    assert counted(case) == {"03": 200}, "days more than a year ago are dropped"


def test_a_window_without_predictions_is_judged_as_empty(monitored: Build) -> None:
    case = monitored()
    filled(case)
    record = case.judge(START - timedelta(days=60))
    assert (record.predictions, record.labels, record.drift_level, record.harm_level) == (0, 0, 0, 0)
    assert "0 predictions" in signal(record.signals, "drift").reason
    assert record.report is not None


def test_one_event_far_in_the_future_does_not_move_the_window(monitored: Build) -> None:
    case = monitored(reference=0.56)
    recent = NOW - timedelta(days=21)
    filled(case, wrong=0.4, start=recent)
    case.predict(inputs(np.random.default_rng(1), 1), binary(np.array([0.5])), start=NOW + timedelta(days=30_000), tag="typo")
    record = case.judge()
    assert (record.window_end, record.predictions, record.harm_level) == (NOW, COUNT, 2)


def test_each_version_is_judged_by_its_own_predictions_during_and_after_a_canary(monitored: Build) -> None:
    case = monitored(reference=0.56)
    filled(case, days=15)
    challenger = filled(case, wrong=0.4, seed=6, start=START + timedelta(days=10), days=10, version=2, tag="challenger")
    assert case.judge().harm_level == 0, "the champion's rows alone"
    case.crown(2, reference=0.56)
    record = case.judge()
    assert (record.version, record.predictions, record.harm_level) == (2, len(challenger), 2)


def test_a_missing_baseline_is_named_in_the_error(monitored: Build) -> None:
    case = monitored()
    filled(case)
    case.crown(2, leave_out="baseline.json")
    with pytest.raises(IntegrityError, match=r"baseline\.json"):
        case.judge()


def test_persistence_may_need_more_windows_than_are_read_by_default(monitored: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_HISTORY", 1)
    case = monitored(reference=0.56, persistence=4, window_days=20)
    filled(case, wrong=0.4)
    assert [case.judge(START + timedelta(days=19, hours=hour)).harm_level for hour in range(4)] == [0, 0, 0, 2]
