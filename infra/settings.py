"""What differs between stages, decided once.

Every stage gets the same architecture; a stage setting only changes how long things are kept, how carefully they are
replaced, and what extra guards surround them. :func:`from_context` is the sole reader of CDK context, so a stack never asks
which stage it is in: it asks whether, say, deletion is protected. Commit and alarm address arrive as context because synth
runs neither git nor a shell.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

AWS_PYTHON = "3.14"
"""Newest Python among Lambda's runtimes that aws-cdk-lib knows; a template test notices a newer one."""

Architecture = Literal["arm64", "x86_64"]
StageName = Literal["local", "dev", "prod"]


class UnknownStage(ValueError):
    """The context names a stage that does not exist."""


class UnknownArchitecture(ValueError):
    """The context names processors that the stage cannot have."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a stage decides. Days are calendar days; rates are requests a second.

    ``retain_data`` keeps buckets, tables and keys when their stack is deleted. ``code_canary`` shifts a tenth of the API
    functions' traffic to new code for five minutes and rolls back when it fails. ``snap_start`` keeps snapshots of those
    functions ready, which costs while nobody asks. ``native_packages`` installs layers for the interpreter at hand instead of
    Lambda's platform. ``named_functions`` gives functions names, and the log groups that Lambda writes to by default: LocalStack
    writes to no others. ``open_pages`` lets a browser read the API's pages unsigned. ``monthly_budget`` is in US dollars.
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


def for_stage(stage: str, *, commit: str = "unknown", alarm_email: str | None = None) -> Settings:
    """Settings of a stage by its name.

    Raises
    ------
    UnknownStage
        When it is not one of local, dev and prod.
    """
    if stage == "local":
        return Settings(
            stage="local",
            commit=commit,
            alarm_email=alarm_email,
            architecture=host_architecture(),
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            native_packages=True,
            named_functions=True,
            retain_data=False,
            deletion_protection=False,
            termination_protection=False,
            log_retention_days=7,
            run_retention_days=30,
            staging_retention_days=1,
            code_canary=False,
            snap_start=False,
            web_firewall=False,
            access_logs=False,
            open_pages=True,
            monthly_budget=None,
            api_rate=5000,
            api_burst=5000,
        )
    if stage == "dev":
        return Settings(
            stage="dev",
            commit=commit,
            alarm_email=alarm_email,
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
    if stage == "prod":
        return Settings(
            stage="prod",
            commit=commit,
            alarm_email=alarm_email,
            architecture="arm64",
            python=AWS_PYTHON,
            native_packages=False,
            named_functions=False,
            retain_data=True,
            deletion_protection=True,
            termination_protection=True,
            log_retention_days=365,
            run_retention_days=180,
            staging_retention_days=7,
            code_canary=True,
            snap_start=True,
            web_firewall=True,
            access_logs=True,
            open_pages=False,
            monthly_budget=200,
            api_rate=1000,
            api_burst=2000,
        )
    raise UnknownStage(f"no stage {stage!r}; choose local, dev or prod (cdk … -c stage=dev)")


def from_context(context: Mapping[str, object]) -> Settings:
    """Settings from CDK context: ``stage`` (default local), ``commit``, ``alarm_email``, ``architecture`` (of functions in AWS).

    Raises
    ------
    UnknownStage
        When the stage is none of ours.
    UnknownArchitecture
        When Lambda has no such processors, or the embedded cloud is asked to have others than this machine.
    """
    email, architecture = context.get("alarm_email"), context.get("architecture")
    settings = for_stage(
        str(context.get("stage") or "local"),
        commit=str(context.get("commit") or "unknown"),
        alarm_email=str(email) if email else None,
    )
    return with_architecture(settings, str(architecture)) if architecture else settings


def with_architecture(settings: Settings, architecture: str) -> Settings:
    """The same settings for other processors, for an account or region whose packages or prices ask for them."""
    known: dict[str, Architecture] = {"arm64": "arm64", "x86_64": "x86_64"}
    if architecture not in known:
        raise UnknownArchitecture(f"no architecture {architecture!r}; choose arm64 or x86_64 (cdk … -c architecture=x86_64)")
    if settings.native_packages and known[architecture] != settings.architecture:
        raise UnknownArchitecture(f"the local stage runs on this machine, which is {settings.architecture}; leave it out")
    return replace(settings, architecture=known[architecture])
