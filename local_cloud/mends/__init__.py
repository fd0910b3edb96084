"""Mends: where the embedded emulator differs from AWS, and what puts it right.

Each module mends one subject. Its docstring names the AWS behaviour it restores, ``TARGETS`` lists the private names
of MiniStack that it replaces, and ``apply`` replaces them; a test of the same name shows the behaviour through boto3.
"""

from __future__ import annotations

from local_cloud.mends import (
    access_logs,
    alarms,
    cloudformation,
    delivery,
    emf,
    execution_ends,
    execution_logs,
    identity,
    lambda_aliases,
    notifications,
    object_encryption,
    patching,
    rest_api_limits,
    service_metrics,
    state_paths,
    stepfunctions,
)

MENDS = (
    delivery,
    alarms,
    emf,
    identity,
    state_paths,
    stepfunctions,
    cloudformation,
    lambda_aliases,
    object_encryption,
    service_metrics,
    rest_api_limits,
    notifications,
    access_logs,  # after the limits: it logs their answers
    execution_logs,  # after stepfunctions: it logs what that adds
    execution_ends,  # after the logs: the end is shown once it is logged
)


def apply_all() -> None:
    """Apply every mend to the emulator in this process. Call it once, before the server starts.

    Raises
    ------
    EmulatorMismatch
        When the installed MiniStack lacks a name that a mend replaces; nothing has been replaced then.
    """
    for mend in MENDS:
        patching.require(mend.TARGETS)
    for mend in MENDS:
        mend.apply()
