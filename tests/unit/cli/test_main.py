from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner

from cli.commands import cloud, pipelines
from cli.main import app
from cli.shared import local
from cli.shared.console import Output
from cli.shared.failures import Failure, explain
from cli.shared.local import Deployed
from cli.shared.platform import Platform, connect
from driftless.errors import BadProject, Throttled
from local_cloud import deploy as deployment
from local_cloud import lifecycle
from local_cloud.deploy import DeployError


def test_nothing_running_is_said_without_a_traceback(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = lifecycle.Status("http://127.0.0.1:4566", ours=True, running=False, healthy=False)
    monkeypatch.setattr(lifecycle, "status", lambda: stopped)
    result = runner.invoke(app, ["status", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == {
        "where": "connection",
        "cause": "nothing is running at http://127.0.0.1:4566",
        "next_step": "run `make up` (or `driftless up`)",
    }
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("stage", ["local", "dev"])
def test_an_endpoint_that_is_no_url_is_said(runner: CliRunner, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "4566")
    result = runner.invoke(app, ["status", "--stage", stage, "--json"])
    assert result.exit_code == 1
    assert "'4566' is not a URL" in json.loads(result.stdout)["error"]["cause"]


def test_a_stage_that_is_not_deployed_is_said(aws: Platform, runner: CliRunner) -> None:
    result = runner.invoke(app, ["status", "--stage", "prod"])
    assert result.exit_code == 1
    assert "nothing is deployed for stage 'prod'" in result.stderr
    assert "cdk deploy" in result.stderr


def test_programming_errors_stay_loud(aws: Platform, runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Platform:
        raise ZeroDivisionError

    monkeypatch.setattr(pipelines, "connect", broken)
    assert isinstance(runner.invoke(app, ["pipelines", "list"]).exception, ZeroDivisionError)


def test_interruption_has_its_own_exit_code(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> Platform:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipelines, "connect", interrupted)
    result = runner.invoke(app, ["pipelines", "list"])
    assert result.exit_code == 130
    assert "Running executions continue" in result.stderr


def test_a_failed_deploy_names_its_step_and_log(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    def fails(**_: object) -> None:
        raise DeployError("synth", Path(tmp_path) / "deploy.log", "projects/x/project.toml:3: name: wrong. Fix: right")

    monkeypatch.setattr(lifecycle, "up", lambda enforce_iam: lifecycle.Cloud("http://127.0.0.1:4566", ours=True))
    monkeypatch.setattr(deployment, "deploy", fails)
    result = runner.invoke(app, ["up", "--json"])
    error = json.loads(result.stdout)["error"]
    assert result.exit_code == 1
    assert (error["where"], "project.toml:3" in error["cause"], "deploy.log" in error["next_step"]) == ("cdk synth", True, True)


def test_what_is_not_as_the_template_says_is_listed_on_every_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifecycle, "up", lambda enforce_iam: lifecycle.Cloud("http://127.0.0.1:4566", ours=True))
    done = deployment.Deployment(synthesised=False, log=Path("deploy.log"), synth_seconds=0.0, deploy_seconds=1.0)
    monkeypatch.setattr(deployment, "deploy", lambda **_: done)
    monkeypatch.setattr(local, "differences", lambda endpoint: ["Queue q [KmsKeyId] was dropped"])
    found = cloud.start_and_deploy(Output(as_json=False))
    assert found == ("http://127.0.0.1:4566", Deployed(False, 0.0, 1.0), ["Queue q [KmsKeyId] was dropped"])
    assert "Queue q [KmsKeyId] was dropped" in capsys.readouterr().err


def test_a_port_in_use_is_explained(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*, enforce_iam: bool) -> lifecycle.Cloud:
        raise lifecycle.CloudError("port 4566 on 127.0.0.1 is in use by another program")

    monkeypatch.setattr(lifecycle, "up", taken)
    result = runner.invoke(app, ["up"])
    assert result.exit_code == 1
    assert "port 4566" in result.stderr


def test_explanations_name_the_next_step() -> None:
    refused = explain(EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/"))
    assert "nothing is running at http://127.0.0.1:4566/" in refused.cause
    assert explain(Throttled("slow down")).next_step == "try again"
    wrong = explain(BadProject("projects/x/project.toml", "name", "bad", "good", 3))
    assert "projects/x/project.toml:3: name: bad. Fix: good" in wrong.cause
    failure = Failure("a", "b", "c")
    assert explain(failure) is failure


@pytest.mark.parametrize(
    ("endpoint", "published", "wanted"),
    [
        (None, "https://a1.execute-api.eu-west-1.amazonaws.com/prod/", "https://a1.execute-api.eu-west-1.amazonaws.com/prod"),
        (
            "http://127.0.0.1:4566",
            "https://a1.execute-api.us-east-1.amazonaws.com/local/",
            "http://127.0.0.1:4566/_aws/execute-api/a1/local",
        ),
        ("http://127.0.0.1:4566", "http://somewhere/api/", "http://somewhere/api"),
    ],
)
def test_the_api_is_found_on_aws_and_on_stand_ins(endpoint: str | None, published: str, wanted: str) -> None:
    stage = Platform("local", None, endpoint)
    stage.__dict__["parameters"] = {"api/url": published}
    assert stage.api_url == wanted


def test_another_stage_is_where_credentials_point(aws: Platform) -> None:
    found = connect("dev")
    assert (found.endpoint, found.deployed_projects) == (None, ["flights"])


def test_the_region_may_be_named_as_the_cdk_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore reads AWS_DEFAULT_REGION alone, the CDK's SDK AWS_REGION as well."""
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert connect("dev").place == "AWS eu-central-1"
