"""Every persisted key and parameter name, literally: a change here loses what deployed stages have stored."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from driftless.core.layout import artifacts, lake, landing, parameters, tables

CONTENT, DEFINITION = "c" * 64, "0123456789abcdef" * 4
DAY, MOMENT = date(2013, 5, 1), datetime(2013, 5, 1, 12, 5, 7, 8, tzinfo=UTC)

LANDING = {landing.landing_key("flights", "weather", "may.csv"): "flights/weather/may.csv"}
LAKE = {
    lake.TABLES: "tables/",
    lake.STAGING: "staging/",
    lake.QUARANTINE: "quarantine/",
    lake.REPORTS: "reports/",
    lake.PREDICTIONS: "predictions/",
    lake.LABELS: "labels/",
    lake.MONITORING: "monitoring/",
    lake.RECEIPTS: "predictions/_receipts/",
    lake.table_folder("flights", "weather"): "tables/flights/weather",
    lake.staged_rows("flights", "weather", CONTENT, DEFINITION): f"staging/flights/weather/{CONTENT}-0123456789ab.parquet",
    lake.quarantined_rows("flights", "weather", CONTENT, DEFINITION): (
        f"quarantine/flights/weather/{CONTENT}-0123456789ab.parquet"
    ),
    lake.validation_report("flights", "weather", CONTENT, DEFINITION): f"reports/flights/weather/{CONTENT}-0123456789ab.json",
    lake.unattributed_report("stray.csv"): (
        "reports/unattributed/5b806d656c3f9362aaa49fdc907f8c285b934d8a1d5772854ccb326c2d8a9216.json"
    ),
    lake.predictions_prefix("flights"): "predictions/flights/",
    lake.predictions_since("flights", "2013-05"): "predictions/flights/day=2013-05",
    lake.predictions_file("flights", "2013-05-01", "ab"): "predictions/flights/day=2013-05-01/ab.parquet",
    lake.unreadable_lines("2013-05-01", "ab"): "predictions/_unreadable/day=2013-05-01/ab.jsonl",
    lake.receipts_day("flights", DAY): "predictions/_receipts/flights/day=2013-05-01/",
    lake.receipt_key("flights", MOMENT, 3, "ab"): "predictions/_receipts/flights/day=2013-05-01/1205-3-ab",
    lake.labels_prefix("flights"): "labels/flights/",
    lake.labels_file("flights", DAY, "id"): "labels/flights/day=2013-05-01/id.json",
    lake.monitoring_report("flights", MOMENT): "monitoring/flights/2013-05-01T120507.000008Z.json",
}
ARTIFACTS = {
    artifacts.RUNS: "runs/",
    artifacts.MODELS: "models/",
    artifacts.SERVING: "serving/",
    artifacts.TRUST: "trust/",
    artifacts.run_dataset("flights", "r1", "train"): "runs/flights/r1/dataset/train.parquet",
    artifacts.run_model("flights", "r1", artifacts.ONNX): "runs/flights/r1/model/model.onnx",
    artifacts.run_scores("flights", "r1", "parity"): "runs/flights/r1/scores/parity.parquet",
    artifacts.run_evaluation("flights", "r1", DEFINITION): "runs/flights/r1/evaluation/0123456789abcdef.json",
    artifacts.model_folder("flights", 3): "models/flights/3",
    artifacts.model_file("flights", 3, artifacts.MANIFEST): "models/flights/3/manifest.json",
    artifacts.model_file("flights", 3, artifacts.SIGNATURE): "models/flights/3/manifest.sig",
    artifacts.model_file("flights", 3, artifacts.JOBLIB): "models/flights/3/model.joblib",
    artifacts.model_file("flights", 3, artifacts.BASELINE): "models/flights/3/baseline.json",
    artifacts.model_file("flights", 3, artifacts.INTERFACE): "models/flights/3/interface.json",
    artifacts.model_file("flights", 3, artifacts.CARD): "models/flights/3/card.json",
    artifacts.model_file("flights", 3, artifacts.CARD_PAGE): "models/flights/3/card.md",
    artifacts.trusted_key("ab"): "trust/ab.der",
    artifacts.serving_endpoint("flights"): "serving/flights/endpoint.json",
}
TABLES = {
    tables.REGISTRY_PARTITION: "pk",
    tables.REGISTRY_SORT: "sk",
}
PARAMETERS = {
    parameters.parameters_prefix("dev"): "/driftless/dev/",
    parameters.parameter_name("dev", parameters.COMMIT): "/driftless/dev/commit",
    parameters.PROJECTS: "projects",
    parameters.API_URL: "api/url",
    parameters.SIGNING_KEY: "keys/signing",
    parameters.NOTIFICATIONS: "topics/notifications",
    parameters.REGISTRY_TABLE: "tables/registry",
    parameters.INFERENCE_LOG: "logs/inference",
    parameters.FUNCTIONS: "functions/",
    parameters.bucket_parameter("lake"): "buckets/lake",
    parameters.function_parameter("labels"): "functions/labels",
    parameters.machine_parameter("ingest"): "machines/ingest",
    parameters.queue_parameter("collector-dead"): "queues/collector-dead",
}


@pytest.mark.parametrize(
    ("built", "literal"), [*LANDING.items(), *LAKE.items(), *ARTIFACTS.items(), *TABLES.items(), *PARAMETERS.items()]
)
def test_persisted_names_never_change(built: str, literal: str) -> None:
    assert built == literal


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("flights/weather/may.csv", ("flights", "weather", "may.csv")),
        ("flights/weather/2013/may.csv", ("flights", "weather", "2013/may.csv")),
        ("flights/weather/", ("flights", "weather", "")),
        ("flights/may.csv", ("flights", "may.csv", "")),
        ("may.csv", ("may.csv", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_landing_key_is_split_into_its_parts(key: str, parts: tuple[str, str, str]) -> None:
    assert landing.parse_landing_key(key) == parts


def test_a_receipt_is_parsed_as_it_was_written() -> None:
    zone = timezone(timedelta(hours=2))
    key = lake.receipt_key("flights", datetime(2013, 5, 2, 0, 30, tzinfo=zone), 17, "a-batch")
    assert key == "predictions/_receipts/flights/day=2013-05-01/2230-17-a-batch"
    assert lake.parse_receipt(key) == (datetime(2013, 5, 1, 22, 30, tzinfo=UTC), 17)


@pytest.mark.parametrize(
    "key",
    [
        lake.predictions_file("flights", "2013-05-01", "ab"),
        lake.labels_file("flights", DAY, "id"),
        lake.receipt_key("flights", MOMENT, 3, "ab"),
    ],
)
def test_the_day_is_read_from_a_key(key: str) -> None:
    assert lake.day_of(key) == DAY


def test_the_key_of_a_report_contains_its_definition() -> None:
    report = lake.validation_report("flights", "weather", CONTENT, DEFINITION)
    assert lake.reported_under(report, DEFINITION)
    assert not lake.reported_under(report, "f" * 64)
