"""``driftless destroy``: delete a stage's stacks, and keep what its templates retain.

CloudFormation cannot delete a bucket that contains objects, and a bucket policy denies people access to
``trust/`` and ``models/``. This command therefore empties each bucket that its template deletes, after the
stacks that write to it are gone. Retained resources are listed and not changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError, WaiterError

from cli.shared import health
from cli.shared.console import JsonOption, Output, StageOption, table
from cli.shared.failures import Failure
from cli.shared.platform import Platform, connect

LAST_FIRST = ("monitoring", "serving", "pipeline", "data")
"""Stacks in the order in which they can be deleted: each uses only those after it."""
BATCH = 1000
BUCKET = "AWS::S3::Bucket"
KEPT = ("Retain", "RetainExceptOnCreate", "Snapshot")
_POLL = {"Delay": 2, "MaxAttempts": 900}


@dataclass(frozen=True)
class Leaving:
    """A stack to delete, the buckets to empty first, and the resources it retains (``type name``)."""

    stack: str
    protected: bool
    buckets: list[str]
    kept: list[str]


def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
    stage: StageOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Delete a stage's stacks and data. Data that the stage retains (all of prod's) is kept.

    Example: [bold]driftless destroy --stage dev[/bold]
    """
    out = Output(as_json)
    platform = connect(stage)
    leaving = plan(platform)
    protected = [each.stack for each in leaving if each.protected]
    if protected:
        step = "turn it off first: `aws cloudformation update-termination-protection --no-enable-termination-protection`"
        raise Failure("destroy", f"termination protection is on for {', '.join(protected)}; nothing was deleted", step)
    if leaving and not yes:
        _agree(out, platform, leaving)
    for each in leaving:
        for bucket in each.buckets:
            out.say(f"  emptied {bucket}: {empty(platform.client('s3'), bucket)} versions")
        with out.working(f"deleting {each.stack}"):
            delete(platform, each)
        out.say(f"  deleted {each.stack}")
    kept = [name for each in leaving for name in each.kept]
    if as_json:
        out.document({"deleted": [each.stack for each in leaving], "kept": kept})
    elif not leaving:
        out.show(f"stage {stage!r} has no stack at {platform.place}")
    elif kept:
        out.show(table("Kept", ("what",), [(name,) for name in kept]))


def plan(platform: Platform) -> list[Leaving]:
    """The stacks to delete, in order of deletion."""
    prefix = f"driftless-{platform.stage}-"
    found = {str(stack["StackName"]): stack for stack in health.stacks(platform)}
    unknown = sorted(set(found) - {prefix + name for name in LAST_FIRST})
    if unknown:
        step = "delete them yourself if nobody needs them, then run it again"
        raise Failure("destroy", f"stacks with the stage's prefix that are not part of Driftless: {', '.join(unknown)}", step)
    return [_leaving(platform, found[prefix + name]) for name in LAST_FIRST if prefix + name in found]


def _leaving(platform: Platform, stack: dict[str, Any]) -> Leaving:
    name = str(stack["StackName"])
    body = platform.client("cloudformation").get_template(StackName=name)["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body  # botocore reads the JSON that the CDK sends
    policies = {logical: resource.get("DeletionPolicy", "Delete") for logical, resource in template["Resources"].items()}
    there = [resource for resource in health.resources(platform, name) if resource.physical]
    return Leaving(
        stack=name,
        protected=bool(stack.get("EnableTerminationProtection")),
        buckets=[each.physical for each in there if each.kind == BUCKET and policies.get(each.logical) not in KEPT],
        kept=[f"{each.kind} {each.physical}" for each in there if policies.get(each.logical) in KEPT],
    )


def _agree(out: Output, platform: Platform, leaving: Sequence[Leaving]) -> None:
    """Show what is deleted and what is kept, and ask for the stage's name."""
    rows = [("stack", each.stack) for each in leaving]
    rows += [("bucket with all its versions", bucket) for each in leaving for bucket in each.buckets]
    out.progress.print(table(f"Delete from {platform.place}", ("what", "name"), rows))
    kept = [(name,) for each in leaving for name in each.kept]
    if kept:
        out.progress.print(table("Keep", ("what",), kept))
    typed = typer.prompt(f"Type {platform.stage} to delete this", default="", show_default=False, err=True)
    if typed.strip() != platform.stage:
        raise Failure("destroy", "not confirmed; nothing was deleted", f"type {platform.stage}, or use --yes")


def empty(s3: Any, bucket: str) -> int:
    """Delete every version, delete marker and open upload of a bucket; the number of versions and markers.

    Raises
    ------
    Failure
        When S3 refuses to delete an object, for example under Object Lock.
    """
    try:
        # The policy denies access to trust/ and models/; it would be deleted with the bucket.
        s3.delete_bucket_policy(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        return 0
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    count = 0
    for batch in _versions(s3, bucket):
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True}).get("Errors", [])
        if errors:
            first = errors[0]
            cause = f"{len(errors)} objects of {bucket} are not deleted, the first {first.get('Key')}: {first.get('Message')}"
            raise Failure("destroy", cause, "correct the cause, then run it again")
        count += len(batch)
    return count


def _versions(s3: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    """Batches of object versions. Delete each before requesting the next: listing starts at the top."""
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=BATCH)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            return
        yield [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]


def delete(platform: Platform, leaving: Leaving) -> None:
    """Delete one stack and wait. A bucket that was written to meanwhile is emptied once more.

    Raises
    ------
    Failure
        With the reasons that CloudFormation gives.
    """
    client = platform.client("cloudformation")
    for attempt in (1, 2):
        client.delete_stack(StackName=leaving.stack)
        try:
            client.get_waiter("stack_delete_complete").wait(StackName=leaving.stack, WaiterConfig=_POLL)
        except WaiterError:
            if attempt == 2 or not leaving.buckets:
                raise Failure("destroy", _reasons(client, leaving.stack), "correct the cause, then run it again") from None
            for bucket in leaving.buckets:
                empty(platform.client("s3"), bucket)
        else:
            return


def _reasons(client: Any, stack: str) -> str:
    try:
        pages = client.get_paginator("describe_stack_events").paginate(StackName=stack)
        events = [event for page in pages for event in page["StackEvents"] if event["ResourceStatus"] == "DELETE_FAILED"]
    except ClientError as error:
        return f"{stack} was not deleted: {error}"
    said = "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}" for event in events[:3]
    )
    return f"{stack} was not deleted: {said or 'CloudFormation gave no reason'}"
