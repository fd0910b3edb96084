"""The embedded cloud, for the commands of the local stage: the only module here that imports ``local_cloud``.

Each function imports it when it is called, so every command of a stage in AWS works without that package.
Errors of the package become failures that name the next step.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli.shared.failures import Failure

LAST_LINES = 8


@dataclass(frozen=True)
class Deployed:
    """What ``cdk deploy`` did: whether it synthesised anew, and the seconds that both parts took."""

    synthesised: bool
    synth_seconds: float
    deploy_seconds: float


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a missing package and the package's own errors into failures."""
    try:
        from local_cloud.lifecycle import CloudError
    except ImportError as error:
        cause = f"the local stage needs the package local_cloud, which cannot be imported: {error}"
        raise Failure("embedded cloud", cause, "run `make setup` in a checkout, or use --stage dev or prod") from error
    try:
        yield
    except CloudError as error:
        raise Failure("embedded cloud", str(error), "correct the cause, then run `driftless up`") from error


def start() -> str:
    """Start the embedded cloud unless it runs, or check the one at ``AWS_ENDPOINT_URL``; its endpoint."""
    with _explained():
        from local_cloud import lifecycle

        return lifecycle.up(enforce_iam=True).endpoint


def stop() -> bool:
    """Stop the embedded cloud; whether it was running."""
    with _explained():
        from local_cloud import lifecycle

        return lifecycle.down()


def delete() -> None:
    """Stop the embedded cloud and delete all it stores; one at ``AWS_ENDPOINT_URL`` is not touched."""
    stop()
    from local_cloud.state import DEFAULT_FOLDER

    shutil.rmtree(DEFAULT_FOLDER, ignore_errors=True)


def open_session() -> tuple[Any, str]:
    """A session on the running cloud, and the cloud's endpoint.

    Raises
    ------
    Failure
        When no cloud is running there.
    """
    with _explained():
        from local_cloud import clients, lifecycle

        found = lifecycle.status()
        if not found.healthy:
            raise Failure("connection", f"nothing is running at {found.endpoint}", "run `make up` (or `driftless up`)")
        return clients.session(found.endpoint), found.endpoint


def deploy(endpoint: str, progress: Callable[[str], None]) -> Deployed:
    """Deploy every stack of the local stage.

    Raises
    ------
    Failure
        Naming the CDK command that failed, and quoting its last lines.
    """
    with _explained():
        from local_cloud.deploy import DeployError
        from local_cloud.deploy import deploy as run

        try:
            done = run(endpoint=endpoint, progress=progress)
        except DeployError as error:
            last = "\n".join(error.tail.strip().splitlines()[-LAST_LINES:])
            raise Failure(f"cdk {error.step}", last, f"read {error.log}, correct the cause, then run it again") from error
        return Deployed(done.synthesised, done.synth_seconds, done.deploy_seconds)


def differences(endpoint: str) -> list[str]:
    """Properties of a local cloud that differ from the templates; empty for an endpoint in AWS."""
    with _explained():
        from local_cloud import clients
        from local_cloud.fidelity.comparison import compare, stage_stacks

        if not clients.is_local(endpoint):
            return []
        session = clients.session(endpoint)
        return [str(finding) for finding in compare(session, stage_stacks(session, "local"))]
