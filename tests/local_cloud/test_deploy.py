"""The real CDK command line deploys a hand-written assembly to the embedded cloud; synthesis has its own tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_cloud import clients, deploy
from local_cloud.lifecycle import Cloud
from local_cloud.state import REPOSITORY
from tests.local_cloud.conftest import alive, eventually, free_port

APP = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
context = json.loads(os.environ["CDK_CONTEXT_JSON"])
resources = json.loads(pathlib.Path("infra/resources.json").read_text())
(out / "stack.template.json").write_text(json.dumps({"Resources": resources}))
stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
         "properties": {"templateFile": "stack.template.json", "stackName": "tiny-" + context["stage"],
                        "tags": {"commit": context["commit"]}}, "displayName": "tiny"}
(out / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": {"tiny": stack}}))
"""
TOPIC = {"Topic": {"Type": "AWS::SNS::Topic"}}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "infra").mkdir(parents=True)
    (folder / "node_modules").symlink_to(REPOSITORY / "node_modules")
    (folder / "cdk.json").write_text(json.dumps({"app": "python3 app.py", "notices": False, "versionReporting": False}))
    (folder / "app.py").write_text(APP)
    (folder / "infra" / "resources.json").write_text(json.dumps(TOPIC))
    return folder


def test_a_deploy_creates_redeploys_only_what_changed_and_destroys(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    state, lines = tmp_path / "state", list[str]()
    first = deploy.deploy(endpoint=cloud.endpoint, progress=lines.append, checkout=checkout, state=state)
    assert first.synthesised
    assert any("CREATE_COMPLETE" in line for line in lines)
    assert [line.rstrip() for line in first.log.read_text().splitlines()] == lines
    formation = clients.session(cloud.endpoint).client("cloudformation")
    assert formation.describe_stacks(StackName="tiny-local")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    assert formation.describe_stacks(StackName="CDKToolkit")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"

    lines.clear()
    assert not deploy.deploy(endpoint=cloud.endpoint, progress=lines.append, checkout=checkout, state=state).synthesised
    assert any("no changes" in line for line in lines)

    (checkout / "infra" / "resources.json").write_text(json.dumps({**TOPIC, "Queue": {"Type": "AWS::SQS::Queue"}}))
    assert deploy.deploy(endpoint=cloud.endpoint, checkout=checkout, state=state).synthesised
    kinds = {r["ResourceType"] for r in formation.describe_stack_resources(StackName="tiny-local")["StackResources"]}
    assert kinds == {"AWS::SNS::Topic", "AWS::SQS::Queue"}

    deploy.destroy(endpoint=cloud.endpoint, checkout=checkout, state=state)
    statuses = [s["StackStatus"] for s in formation.list_stacks()["StackSummaries"] if s["StackName"] == "tiny-local"]
    assert statuses == ["DELETE_COMPLETE"]


TWO_STACKS = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
artifacts = {}
for name, template in json.loads(pathlib.Path("infra/stacks.json").read_text()).items():
    (out / f"{name}.json").write_text(json.dumps(template))
    artifacts[name] = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
                       "properties": {"templateFile": f"{name}.json"}, "displayName": name,
                       "dependencies": [] if name == "owner" else ["owner"]}
(out / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": artifacts}))
"""


def test_a_stack_that_stops_importing_is_deployed_before_the_export_is_removed(
    cloud: Cloud, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "app.py").write_text(TWO_STACKS)
    exported = {"Name": {"Value": {"Ref": "Topic"}, "Export": {"Name": "owner:topic"}}}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"Tags": [{"Key": "topic", "Value": {"Fn::ImportValue": "owner:topic"}}]}}
    shared = {"owner": {"Resources": TOPIC, "Outputs": exported}, "user": {"Resources": {"Queue": queue}}}
    (checkout / "infra" / "stacks.json").write_text(json.dumps(shared))
    deploy.deploy(endpoint=cloud.endpoint, checkout=checkout, state=tmp_path / "state")
    other = {"Other": {"Type": "AWS::SNS::Topic"}}
    apart = {"owner": {"Resources": other}, "user": {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}}
    (checkout / "infra" / "stacks.json").write_text(json.dumps(apart))
    lines: list[str] = []
    deploy.deploy(endpoint=cloud.endpoint, progress=lines.append, checkout=checkout, state=tmp_path / "state")
    text = "\n".join(lines)
    assert text.index("user: deploying...") < text.index("owner: deploying...")
    kinds = clients.session(cloud.endpoint).client("cloudformation").describe_stack_resources(StackName="owner")
    assert [resource["LogicalResourceId"] for resource in kinds["StackResources"]] == ["Other"]
    deploy.destroy(endpoint=cloud.endpoint, checkout=checkout, state=tmp_path / "state")


def test_a_failure_reports_the_command_the_log_and_the_last_lines(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    (checkout / "app.py").write_text("raise SystemExit('projects/x/project.toml: no target')")
    with pytest.raises(deploy.DeployError) as failed:
        deploy.deploy(endpoint=cloud.endpoint, checkout=checkout, state=tmp_path / "state")
    assert failed.value.step == "synth"
    assert "no target" in failed.value.tail
    assert str(failed.value.log) in str(failed.value)
    assert "no target" in failed.value.log.read_text()


def test_a_missing_cdk_is_reported_with_the_install_command(checkout: Path, tmp_path: Path) -> None:
    (checkout / "node_modules").unlink()
    with pytest.raises(deploy.DeployError, match="npm ci"):
        deploy.deploy(endpoint=f"http://127.0.0.1:{free_port()}", checkout=checkout, state=tmp_path / "state")


def test_dummy_credentials_go_to_a_local_endpoint_only(tmp_path: Path) -> None:
    person = {"AWS_PROFILE": "prod", "AWS_REGION": "eu-west-1", "HOME": "/home/someone"}
    local = deploy.environment("http://127.0.0.1:4566", tmp_path, person)
    assert (local["AWS_ACCESS_KEY_ID"], local["AWS_REGION"], "AWS_PROFILE" in local) == ("test", "us-east-1", False)
    real = deploy.environment(None, tmp_path, person)
    assert (real["AWS_PROFILE"], real["AWS_REGION"], "AWS_ACCESS_KEY_ID" in real) == ("prod", "eu-west-1", False)
    assert local["NO_PROXY"] == local["no_proxy"] == "127.0.0.1"
    assert "NO_PROXY" not in real
    behind_proxy = deploy.environment("http://127.0.0.1:4566", tmp_path, {**person, "no_proxy": "intern"})
    assert behind_proxy["no_proxy"] == "intern,127.0.0.1"
    assert local["CDK_HOME"] == real["CDK_HOME"] == str(tmp_path)


STUBBORN = """#!/bin/sh
sleep 300 &
echo $! > child
trap '' TERM
wait
"""


def test_a_deployment_ends_when_its_parent_is_killed(checkout: Path, tmp_path: Path) -> None:
    """After kill -9 of the process that runs the CDK, its command line and that one's children end."""
    (checkout / "node_modules").unlink()
    program = checkout / "node_modules" / ".bin" / "cdk"
    program.parent.mkdir(parents=True)
    program.write_text(STUBBORN)
    program.chmod(0o755)
    call = (
        "from pathlib import Path; from local_cloud import deploy; "
        f"deploy.deploy(endpoint='http://127.0.0.1:1', checkout=Path({str(checkout)!r}), state=Path({str(tmp_path / 'state')!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", call], cwd=REPOSITORY) as starter:
        child = checkout / "child"
        eventually(lambda: child.exists() and child.read_text().strip())
        starter.kill()
    eventually(lambda: not alive(int(child.read_text())))


def test_the_commit_is_the_checkouts_with_a_mark_for_uncommitted_changes(tmp_path: Path) -> None:
    assert deploy.commit(tmp_path) == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "file").write_text("one")
    for arguments in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "m"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    clean = deploy.commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two")
    assert deploy.commit(tmp_path) == f"{clean}-dirty"


def test_the_assembly_is_synthesised_again_when_a_source_changes(checkout: Path) -> None:
    before = deploy.digest(checkout, "local", "commit")
    assert deploy.digest(checkout, "local", "commit") == before
    assert deploy.digest(checkout, "local", "other") != before
    (checkout / "lambdas").mkdir()
    assert deploy.digest(checkout, "local", "commit") == before
    (checkout / "lambdas" / "handler.py").write_text("")
    changed = deploy.digest(checkout, "local", "commit")
    assert changed != before
    (checkout / "lambdas" / "handler.py").rename(checkout / "lambdas" / "other.py")
    assert deploy.digest(checkout, "local", "commit") != changed
