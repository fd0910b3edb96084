"""The next deployment completes one that was interrupted by kill -9."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_cloud import deploy
from local_cloud.state import REPOSITORY, is_dead
from tests.local_cloud.conftest import ROLE, eventually
from tests.local_cloud.mends.conftest import Emulator

#: The operation on this resource never ends; the emulator serves and saves meanwhile.
STOP_AT = """
import threading
from ministack.services.cloudformation import stacks
def stopping(original, position):
    def call(*arguments, **named):
        if arguments[position] == "{logical_id}":
            threading.Event().wait()
        return original(*arguments, **named)
    return call
on_thread = stacks._runs_on_worker_thread
stacks._runs_on_worker_thread = lambda kind: kind in ("{kind}",) or on_thread(kind)
stacks._provision_keeping_seed = stopping(stacks._provision_keeping_seed, 1)
stacks._update_keeping_seed = stopping(stacks._update_keeping_seed, 5)
stacks._delete_resource = stopping(stacks._delete_resource, 4)
"""
APP = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
resources = json.loads(pathlib.Path("infra/resources.json").read_text())
(out / "stack.template.json").write_text(json.dumps({"Resources": resources}))
stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
         "properties": {"templateFile": "stack.template.json", "stackName": "tiny"}, "displayName": "tiny"}
(out / "manifest.json").write_text(json.dumps({"version": "36.0.0", "artifacts": {"tiny": stack}}))
"""


def resources(number: int) -> dict[str, Any]:
    """Resources of the kinds that a repeated deployment could create twice; the queue that blocks is the last."""
    function = {
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"ZipFile": f"def handler(event, context): return {number}"},
    }
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    }
    pass_through = json.dumps({"Comment": str(number), "StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    rule = {
        "EventPattern": {"source": ["test", str(number)]},
        "Targets": [{"Id": "m", "Arn": {"Ref": "Machine"}, "RoleArn": ROLE}],
    }
    return {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
        "Named": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "named"}},
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table, "DeletionPolicy": "Retain"},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        f"Version{number}": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
        "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/tiny/group", "RetentionInDays": 7}},
        "Parameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/tiny/number", "Type": "String", "Value": str(number)},
        },
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"RoleArn": ROLE, "DefinitionString": pass_through},
        },
        "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "tiny"}},
        "Last": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"VisibilityTimeout": 30 + number},
            "DependsOn": ["Bucket", "Named", "Table", f"Version{number}", "Group", "Parameter", "Rule", "Queue"],
        },
    }


class Deployer:
    """The real CDK command line on a cloud that blocks during an operation."""

    def __init__(self, folder: Path) -> None:
        self.cloud = Emulator(folder)
        self._state = folder / "cdk"
        self._kept = folder / "kept"
        self._checkout = folder / "checkout"
        (self._checkout / "infra").mkdir(parents=True)
        (self._checkout / "node_modules").symlink_to(REPOSITORY / "node_modules")
        settings = {"app": "python3 app.py", "notices": False, "versionReporting": False}
        (self._checkout / "cdk.json").write_text(json.dumps(settings))
        (self._checkout / "app.py").write_text(APP)

    def write(self, number: int) -> None:
        (self._checkout / "infra" / "resources.json").write_text(json.dumps(resources(number)))

    def keep(self, name: str) -> None:
        """Copy the state folder of the stopped cloud."""
        shutil.copytree(self.cloud.state / "s", self._kept / name)

    def go_on_from(self, name: str | None) -> None:
        """Give the cloud what was kept, or nothing, and the checkout what was deployed first."""
        self.cloud.kill()
        shutil.rmtree(self.cloud.state / "s")
        if name is not None:
            shutil.copytree(self._kept / name, self.cloud.state / "s")
        self.write(1)

    def deploy(self) -> None:
        deploy.deploy(endpoint=self.cloud.url, checkout=self._checkout, state=self._state)

    def destroy(self) -> None:
        deploy.destroy(endpoint=self.cloud.url, checkout=self._checkout, state=self._state)

    def cut_short(self, command: str, stack: str, status: str) -> None:
        """Run a command that stops, and kill it and the cloud once what was done so far is on disk."""
        where = {"endpoint": self.cloud.url, "checkout": str(self._checkout), "state": str(self._state)}
        program = (
            "import json, pathlib, sys; from local_cloud import deploy; given = json.loads(sys.argv[1]); "
            f"deploy.{command}(endpoint=given['endpoint'], **{{n: pathlib.Path(given[n]) for n in ('checkout', 'state')}})"
        )
        file = self.cloud.state / "s" / "data" / "services" / "cloudformation.json"
        with subprocess.Popen([sys.executable, "-c", program, json.dumps(where)], cwd=REPOSITORY) as process:
            try:
                eventually(lambda: process.poll() is not None or self._on_disk(file, stack) == status, deadline=300)
                assert process.poll() is None, f"the command ended before the stack was {status}"
            finally:
                started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
                self.cloud.kill()
                process.kill()
                eventually(lambda: all(is_dead(each) for each in started))

    @staticmethod
    def _on_disk(file: Path, stack: str) -> str:
        if not file.exists():
            return ""
        stacks = json.loads(file.read_text())["payload"]["stacks"]["data"]
        return next((str(each["StackStatus"]) for each in stacks.values() if each["StackName"] == stack), "")

    def status(self, stack: str = "tiny") -> str:
        [described] = self.cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return str(described["StackStatus"])

    def works(self, number: int) -> None:
        """Check that each resource of the stack exists once, with the template's properties."""
        described = self.cloud.client("cloudformation").describe_stack_resources(StackName="tiny")["StackResources"]
        parts = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described}
        assert set(parts) == set(resources(number))
        client = self.cloud.client
        for bucket in ("Bucket", "Named"):
            client("s3").put_object(Bucket=parts[bucket], Key="k", Body=b"b")
        client("dynamodb").put_item(TableName=parts["Table"], Item={"pk": {"S": "k"}})
        answer = client("lambda").invoke(FunctionName=parts[f"Version{number}"])["Payload"].read()
        assert json.loads(answer) == number
        assert client("ssm").get_parameter(Name="/tiny/number")["Parameter"]["Value"] == str(number)
        definition = client("stepfunctions").describe_state_machine(stateMachineArn=parts["Machine"])["definition"]
        assert json.loads(definition)["Comment"] == str(number)
        [rule] = client("events").list_rules()["Rules"]
        assert json.loads(rule["EventPattern"])["source"] == ["test", str(number)]
        [target] = client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"] == parts["Machine"]
        for queue in ("Queue", "Last"):
            client("sqs").send_message(QueueUrl=parts[queue], MessageBody="m")
        attributes = client("sqs").get_queue_attributes(QueueUrl=parts["Last"], AttributeNames=["VisibilityTimeout"])
        assert attributes["Attributes"]["VisibilityTimeout"] == str(30 + number)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployer]:
    """A first deployment that was interrupted and completed by a second; each test continues from a copy of its state."""
    deployer = Deployer(tmp_path_factory.mktemp("begun"))
    deployer.write(1)
    deployer.cloud.start(STOP_AT.format(logical_id="Last", kind="AWS::SQS::Queue"))
    try:
        deployer.cut_short("deploy", "tiny", "CREATE_IN_PROGRESS")
        deployer.cloud.start()
        deployer.deploy()
        deployer.cloud.stop()
        deployer.keep("deployed")
        yield deployer
    finally:
        deployer.cloud.kill()


def test_an_interrupted_creation_is_completed_by_the_next_deployment(begun: Deployer) -> None:
    begun.go_on_from("deployed")
    begun.cloud.start()
    begun.works(1)


def test_an_interrupted_update_is_completed_by_the_next_deployment(begun: Deployer) -> None:
    begun.go_on_from("deployed")
    begun.write(2)
    begun.cloud.start(STOP_AT.format(logical_id="Last", kind="AWS::SQS::Queue"))
    begun.cut_short("deploy", "tiny", "UPDATE_IN_PROGRESS")
    begun.cloud.start()
    begun.deploy()
    begun.works(2)


def test_deploy_and_destroy_work_after_an_interrupted_deletion(begun: Deployer) -> None:
    begun.go_on_from("deployed")
    begun.cloud.start(STOP_AT.format(logical_id="Queue", kind="AWS::SQS::Queue"))
    begun.cut_short("destroy", "tiny", "DELETE_IN_PROGRESS")
    begun.keep("half deleted")
    begun.cloud.start()
    begun.deploy()
    begun.works(1)
    begun.go_on_from("half deleted")
    begun.cloud.start()
    begun.destroy()
    assert [each["Name"] for each in begun.cloud.client("events").list_rules()["Rules"]] == []


def test_an_interrupted_bootstrap_is_completed_by_the_next_deployment(begun: Deployer) -> None:
    """Its bucket has a name of its own and is retained: it is in the way of a second creation."""
    begun.go_on_from(None)
    begun.cloud.start(STOP_AT.format(logical_id="DeploymentActionRole", kind="AWS::IAM::Role"))
    begun.cut_short("deploy", "CDKToolkit", "CREATE_IN_PROGRESS")
    begun.cloud.start()
    begun.deploy()
    assert begun.status("CDKToolkit") == "CREATE_COMPLETE"
    begun.works(1)
