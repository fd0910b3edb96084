"""Mends: replacements of MiniStack functions whose behaviour differs from AWS.

Each module mends one subject. Its docstring names the AWS documentation pages whose behaviour it restores, ``TARGETS``
lists the private names of MiniStack that it needs, and ``apply`` replaces them. A test shows the behaviour through boto3.
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
    executions,
    identity,
    lambda_aliases,
    notifications,
    object_encryption,
    patching,
    rest_api_limits,
    service_metrics,
    state_paths,
    state_tasks,
)

MENDS = (
    delivery,
    alarms,
    emf,
    identity,
    state_paths,
    state_tasks,
    executions,
    cloudformation,
    lambda_aliases,
    object_encryption,
    service_metrics,
    rest_api_limits,
    notifications,
    access_logs,  # after the limits: it logs the responses that they return
    execution_logs,  # after executions: it logs the events that executions adds
    execution_ends,  # after the logs: a final status is shown when its event is logged
)


def apply_all() -> None:
    """Apply every mend to the emulator in this process. Call it once, before the server starts.

    Raises
    ------
    EmulatorMismatch
        When the installed MiniStack does not have a name that a mend needs; then nothing is replaced.
    """
    for mend in MENDS:
        patching.require(mend.TARGETS)
    for mend in MENDS:
        mend.apply()
