"""A deployed stage: a boto3 session, and the stage's SSM parameters under ``/driftless/<stage>/``.

CloudFormation generates physical names. The names of buckets, tables, state machines and the API are
therefore read from SSM.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from cli.shared import local
from cli.shared.failures import Failure
from driftless.adapters.dynamodb import DynamoItems
from driftless.adapters.registry import TableRegistry
from driftless.adapters.s3 import S3Store
from driftless.core.layout.parameters import (
    API_URL,
    PROJECTS,
    REGISTRY_TABLE,
    bucket_parameter,
    machine_parameter,
    parameters_prefix,
)
from driftless.definition import loading as projects
from driftless.definition.project import Project

# Attempts of a call that is throttled or fails in the service; botocore waits longer before each.
MAX_ATTEMPTS = 6
EVERY = sys.maxsize
LOCAL_EXAMPLE = "http://127.0.0.1:4566"
MACHINES = ("train_and_deploy", "ingest", "monitor")
_EXECUTE_API = re.compile(r"^https://(?P<api>[a-z0-9]+)\.execute-api\.[^/]+/(?P<stage>[^/]+)/?$")


class Platform:
    """One deployed stage.

    Parameters
    ----------
    stage : str
        local, dev or prod.
    session : boto3 session or compatible
        Clients are opened from it.
    endpoint : str or None
        The endpoint of an emulator, None for AWS.
    """

    def __init__(self, stage: str, session: Any, endpoint: str | None) -> None:
        self.stage, self.session, self.endpoint = stage, session, endpoint
        self._clients: dict[str, Any] = {}
        # The latest description of each execution: it changes once, when the execution ends.
        self.described_executions: dict[str, dict[str, Any]] = {}

    def client(self, service: str) -> Any:
        """A boto3 client, opened once."""
        if service not in self._clients:
            # At an emulator's endpoint, bucket names are not host names: S3 is addressed by path.
            by_path = {"s3": {"addressing_style": "path"}} if service == "s3" and self.endpoint else {}
            config = Config(retries={"mode": "standard", "max_attempts": MAX_ATTEMPTS}, **by_path)
            self._clients[service] = self.session.client(service, config=config)
        return self._clients[service]

    @property
    def place(self) -> str:
        """The stage's place, to be printed."""
        return self.endpoint or f"AWS {self.session.region_name}"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Every parameter of the stage; names are relative to ``/driftless/<stage>/``."""
        root = parameters_prefix(self.stage)
        pages = self.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=root, Recursive=True)
        return {entry["Name"].removeprefix(root): entry["Value"] for page in pages for entry in page["Parameters"]}

    def parameter(self, name: str) -> str:
        """One parameter's value.

        Raises
        ------
        Failure
            When the stage is not deployed.
        """
        try:
            return self.parameters[name]
        except KeyError:
            missing = "nothing is deployed" if not self.parameters else f"parameter {name} is missing"
            cause = f"{missing} for stage {self.stage!r} at {self.place}"
            raise Failure("deployment", cause, deploy_hint(self.stage)) from None

    def machine(self, name: str) -> str:
        """ARN of a state machine."""
        return self.parameter(machine_parameter(name))

    @property
    def deployed_projects(self) -> list[str]:
        """Names of the projects deployed in this stage."""
        return [name for name in self.parameter(PROJECTS).split(",") if name]

    @cached_property
    def registry(self) -> TableRegistry:
        """The registry of every project."""
        return TableRegistry(DynamoItems(self.parameter(REGISTRY_TABLE), client=self.client("dynamodb")))

    def store(self, bucket: str) -> S3Store:
        """The landing, lake or artifacts bucket."""
        return S3Store(self.parameter(bucket_parameter(bucket)), client=self.client("s3"))

    @property
    def api_url(self) -> str:
        """Base URL of the API, without a trailing slash.

        An emulator serves every API under its own address, at a path that MiniStack and LocalStack share.
        """
        published = self.parameter(API_URL)
        found = _EXECUTE_API.match(published)
        if self.endpoint and found:
            base = urlsplit(self.endpoint)
            return f"{base.scheme}://{base.netloc}/_aws/execute-api/{found['api']}/{found['stage']}"
        return published.rstrip("/")


def deploy_hint(stage: str) -> str:
    """The command that deploys a stage; in AWS with the context without which mails and the commit would be lost."""
    if stage == "local":
        return "run `driftless up`"
    context = f"-c stage={stage} -c commit=$(git rev-parse HEAD) -c alarm_email=you@example.org"
    return f"run `npx cdk deploy --all {context}`"


def connect(stage: str) -> Platform:
    """Open a stage: local in the embedded cloud, any other in AWS with your credentials.

    ``AWS_ENDPOINT_URL`` replaces both.

    Raises
    ------
    Failure
        When no cloud is running at the endpoint of the local stage, or ``AWS_ENDPOINT_URL`` is not a URL.
    """
    if stage != "local" and not os.environ.get("AWS_ENDPOINT_URL"):
        return Platform(stage, boto3.Session(region_name=os.environ.get("AWS_REGION")), None)
    given = os.environ.get("AWS_ENDPOINT_URL")
    if given and not given.startswith(("http://", "https://")):
        raise Failure("AWS_ENDPOINT_URL", f"{given!r} is not a URL", f"write http://HOST:PORT, for example {LOCAL_EXAMPLE}")
    return Platform(stage, *local.open_session())


def read_project(name: str) -> Project:
    """A project of this checkout.

    Raises
    ------
    Failure
        When there is no such project.
    BadProject
        When its definition is wrong.
    """
    folder = projects.default_root() / name
    if not folder.is_dir():
        known = ", ".join(sorted(entry.name for entry in folder.parent.iterdir() if (entry / "project.toml").is_file()))
        raise Failure("arguments", f"there is no project {name!r}", f"use one of: {known}; or add the folder projects/{name}")
    return projects.load(folder)
