from __future__ import annotations

import json
from datetime import UTC, datetime

from typer.testing import CliRunner

from cli.commands.models import role
from cli.main import app
from cli.shared.platform import Platform
from driftless.records import Endpoint, ModelVersion
from tests.unit.modelling.models import manifest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def endpoint(**more: object) -> Endpoint:
    return Endpoint.model_validate({"project": "flights", "updated_at": NOW, **more})


def registered(platform: Platform, *numbers: int, sealed: str = "") -> None:
    for number in numbers:
        run_id = f"run-{number}"
        assert platform.registry.reserve_version("flights", run_id) == number
        platform.registry.create_version(
            ModelVersion(
                project="flights",
                version=number,
                run_id=run_id,
                created_at=NOW,
                source=f"models/flights/{number}/",
                manifest_sha256=sealed or str(number) * 64,
                signing_key="f" * 64,
                decision="promote",
                metrics={"log_loss": 0.5, "auc": 0.7},
                tags={"git_commit": "abc"},
            )
        )


def test_roles() -> None:
    serving = endpoint(champion=3, challenger=4, challenger_weight=0.1, previous_champion=2)
    assert [role(serving, number) for number in (1, 2, 3, 4)] == ["", "previous", "champion", "challenger 10%"]


def test_promote_and_rollback_move_the_registry_and_the_copy_that_serves(aws: Platform, runner: CliRunner) -> None:
    registered(aws, 1, 2)
    for number in (1, 2):
        result = runner.invoke(app, ["models", "promote", "flights", str(number), "--stage", "dev", "--json"])
        assert result.exit_code == 0, result.output
    copy = Endpoint.model_validate_json(aws.store("artifacts").get("serving/flights/endpoint.json"))
    assert (copy.champion, copy.previous_champion, copy.revision) == (2, 1, 2)
    assert copy.manifests == {"1": "1" * 64, "2": "2" * 64}
    result = runner.invoke(app, ["models", "rollback", "flights", "--stage", "dev"])
    assert "champion of flights is version 1" in result.stdout
    assert json.loads(aws.store("artifacts").get("serving/flights/endpoint.json"))["champion"] == 1
    actions = [(event.action, event.actor.split("/")[0]) for event in aws.registry.audit("flights") if event.action != "register"]
    assert actions == [("promote", "cli"), ("promote", "cli"), ("roll_back", "cli")]


def test_promoting_a_version_that_does_not_exist_moves_nothing(aws: Platform, runner: CliRunner) -> None:
    result = runner.invoke(app, ["models", "promote", "flights", "7", "--stage", "dev", "--json"])
    assert result.exit_code == 1
    assert "no registered version 7" in json.loads(result.stdout)["error"]["cause"]
    assert aws.registry.endpoint("flights").champion is None


def test_list_and_show(aws: Platform, runner: CliRunner) -> None:
    store = aws.store("artifacts")
    store.put("models/flights/1/card.md", b"# Late arrivals\n")
    sealed = store.put("models/flights/1/manifest.json", manifest("flights", 1, {}, later="kept").model_dump_json().encode())
    registered(aws, 1, sealed=sealed.sha256)
    listed = json.loads(runner.invoke(app, ["models", "list", "flights", "--stage", "dev", "--json"]).stdout)
    assert [version["version"] for version in listed["versions"]] == [1]
    assert "0.5000" in runner.invoke(app, ["models", "list", "flights", "--stage", "dev"]).stdout
    shown = json.loads(runner.invoke(app, ["models", "show", "flights", "1", "--stage", "dev", "--json"]).stdout)
    assert shown["manifest"] == json.loads(store.get("models/flights/1/manifest.json"))
    assert (shown["manifest"]["schema"], shown["manifest"]["later"]) == (1, "kept")
    assert shown["card"].startswith("# Late arrivals")
    assert "Late arrivals" in runner.invoke(app, ["models", "show", "flights", "1", "--stage", "dev"]).stdout
