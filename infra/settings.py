"""What differs between stages, decided once.

Every stage has the same architecture. A setting changes how long data is kept, how deployments replace
resources, and which extra protections exist. dev is the base; local and prod state only what differs.
:func:`from_context` is the only reader of CDK context: a stack reads a setting, such as
``deletion_protection``, and never the name of its stage. Commit and alarm address are context because
synthesis runs neither git nor a shell.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

AWS_PYTHON = "3.14"
"""Newest Python among Lambda's runtimes that aws-cdk-lib knows; a template test notices a newer one."""

Architecture = Literal["arm64", "x86_64"]
StageName = Literal["local", "dev", "prod"]


class UnknownStage(ValueError):
    """The context names a stage that does not exist."""


class UnknownArchitecture(ValueError):
    """The context names an architecture that the stage cannot have."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a stage decides. Days are calendar days; rates are requests per second.

    ``retain_data`` keeps buckets, tables and keys when their stack is deleted. ``code_canary`` shifts 10 %
    of the API functions' traffic to new code for five minutes and rolls back when it fails. ``snap_start``
    keeps snapshots of those functions, which costs money without traffic too. ``native_packages`` installs
    layers for this interpreter instead of Lambda's platform. ``named_functions`` gives functions fixed names
    and Lambda's default log groups, because LocalStack writes to no others. ``open_pages`` serves the API's
    pages to unsigned requests. ``monthly_budget`` is in US dollars.
    """

    stage: StageName
    commit: str
    alarm_email: str | None
    architecture: Architecture
    python: str
    native_packages: bool
    named_functions: bool
    retain_data: bool
    deletion_protection: bool
    termination_protection: bool
    log_retention_days: int
    run_retention_days: int
    staging_retention_days: int
    code_canary: bool
    snap_start: bool
    web_firewall: bool
    access_logs: bool
    open_pages: bool
    monthly_budget: float | None
    api_rate: float
    api_burst: int


def host_architecture() -> Architecture:
    """Lambda's name for this machine's processor."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


_DEV = Settings(
    stage="dev",
    commit="unknown",
    alarm_email=None,
    architecture="arm64",
    python=AWS_PYTHON,
    native_packages=False,
    named_functions=False,
    retain_data=False,
    deletion_protection=False,
    termination_protection=False,
    log_retention_days=30,
    run_retention_days=30,
    staging_retention_days=3,
    code_canary=False,
    snap_start=False,
    web_firewall=False,
    access_logs=True,
    open_pages=False,
    monthly_budget=None,
    api_rate=200,
    api_burst=400,
)
"""The base: a stage in AWS without the guards and the retention of production."""

_PROD = replace(
    _DEV,
    stage="prod",
    retain_data=True,
    deletion_protection=True,
    termination_protection=True,
    log_retention_days=365,
    run_retention_days=180,
    staging_retention_days=7,
    code_canary=True,
    snap_start=True,
    web_firewall=True,
    monthly_budget=200,
    api_rate=1000,
    api_burst=2000,
)


def _local() -> Settings:
    """The stage on this machine: its processor and interpreter, nothing kept longer than needed."""
    return replace(
        _DEV,
        stage="local",
        architecture=host_architecture(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        native_packages=True,
        named_functions=True,
        log_retention_days=7,
        staging_retention_days=1,
        access_logs=False,
        open_pages=True,
        api_rate=5000,
        api_burst=5000,
    )


def for_stage(stage: str, *, commit: str = "unknown", alarm_email: str | None = None) -> Settings:
    """Settings of a stage by its name.

    Raises
    ------
    UnknownStage
        When it is not one of local, dev and prod.
    """
    if stage not in get_args(StageName):
        raise UnknownStage(f"no stage {stage!r}; choose local, dev or prod (cdk … -c stage=dev)")
    chosen = _local() if stage == "local" else _PROD if stage == "prod" else _DEV
    return replace(chosen, commit=commit, alarm_email=alarm_email)


def from_context(context: Mapping[str, object]) -> Settings:
    """Settings from CDK context: ``stage`` (default local), ``commit``, ``alarm_email``, ``architecture`` (of functions in AWS).

    Raises
    ------
    UnknownStage
        When there is no such stage.
    UnknownArchitecture
        When Lambda has no such architecture, or the local stage is given another than this machine's.
    """
    email, architecture = context.get("alarm_email"), context.get("architecture")
    settings = for_stage(
        str(context.get("stage") or "local"),
        commit=str(context.get("commit") or "unknown"),
        alarm_email=str(email) if email else None,
    )
    return with_architecture(settings, str(architecture)) if architecture else settings


def with_architecture(settings: Settings, architecture: str) -> Settings:
    """The same settings for another architecture, where packages or prices of a region require it."""
    known: dict[str, Architecture] = {"arm64": "arm64", "x86_64": "x86_64"}
    if architecture not in known:
        raise UnknownArchitecture(f"no architecture {architecture!r}; choose arm64 or x86_64 (cdk … -c architecture=x86_64)")
    if settings.native_packages and known[architecture] != settings.architecture:
        raise UnknownArchitecture(
            f"architecture {architecture!r} does not match this machine ({settings.architecture}), on which the local stage runs;"
            " leave out -c architecture"
        )
    return replace(settings, architecture=known[architecture])
