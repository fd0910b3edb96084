"""Expected failures: where an error happened, its cause, and what to do next.

A command shows no traceback for an operational error: no cloud is running, a stage is not deployed, an
execution failed, a request was refused. Programming errors are not caught and show their traceback.
"""

from __future__ import annotations

from typing import Any

import httpx
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)

from driftless.errors import BadProject, DriftlessError, RetryableError


class Failure(Exception):
    """An expected failure of a command.

    Parameters
    ----------
    where : str
        The command, step or request that failed.
    cause : str
        What went wrong.
    next_step : str
        What the person can do about it.
    document : dict, optional
        The partial result of the command; ``--json`` prints it with the error.
    """

    def __init__(self, where: str, cause: str, next_step: str, document: dict[str, Any] | None = None) -> None:
        self.where, self.cause, self.next_step, self.document = where, cause, next_step, document
        super().__init__(f"{where}: {cause}")


# The errors that explain() knows. Any other is a programming error and shows its traceback.
EXPECTED = (Failure, DriftlessError, Boto3Error, BotoCoreError, ClientError, httpx.HTTPError, OSError)

NEXT_STEPS = {
    "NotEnoughData": "push more data (`driftless data push`), or lower the minimum in project.toml",
    "CandidateRefused": "change model.parameters or model.search in project.toml, as the cause says",
    "OutOfResources": "push the data in smaller files, or give the function more memory or disk in infra/functions.py",
    "LeakageFound": "remove the named column from features.sql, or take the outcome from `<dataset>_outcomes` as of the past",
    "BadProject": "correct the project folder as the cause says, then `driftless up`",
    "ExportRefused": "choose another estimator or parameters in project.toml; its ONNX export predicts differently",
    "DataRejected": "correct the file and push it again; none of its rows were ingested",
    "IllegalMove": "see `driftless models list PROJECT` for versions that can be promoted or rolled back",
    "IntegrityError": "an artifact was changed after registration; train again (`driftless train PROJECT`)",
    "SignatureInvalid": "an artifact is not signed by the registration key; train again (`driftless train PROJECT`)",
    "NotFound": "check the name in `driftless status`",
}


def next_step_for(error: str, rerun: str | None = None) -> str:
    """What to do about an error name; ``rerun`` is the execution that could be started again."""
    leaf = error.rsplit(".", 1)[-1]
    again = f"`driftless pipelines rerun {rerun}`" if rerun else "try again"
    if leaf in NEXT_STEPS:
        return NEXT_STEPS[leaf] + (f"; then {again}" if rerun else "")
    return f"{again}; if it fails again, read `driftless logs`"


def explain(error: BaseException) -> Failure:
    """Describe an expected error."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, Boto3Error) and isinstance(error.__context__, (BotoCoreError, ClientError)):
        return explain(error.__context__)
    if isinstance(error, BadProject):
        return Failure("project definition", str(error), "correct it; nothing was sent or deployed")
    if isinstance(error, DriftlessError):
        name = type(error).__name__
        step = "try again" if isinstance(error, RetryableError) else next_step_for(name)
        return Failure(name, str(error), step)
    if isinstance(error, (EndpointConnectionError, httpx.ConnectError)):
        where = error.kwargs.get("endpoint_url", "") if isinstance(error, EndpointConnectionError) else _address(error)
        return Failure("connection", f"nothing is running at {where}", "run `make up` (or `driftless up`)")
    if isinstance(error, (NoCredentialsError, NoRegionError)):
        return Failure("AWS credentials", str(error), "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_REGION, or use --stage local")
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        message = error.response.get("Error", {}).get("Message", str(error))
        return Failure(f"AWS {error.operation_name}", f"{code}: {message}", "check `driftless status` and your permissions")
    if isinstance(error, (HTTPClientError, httpx.HTTPError)):
        return Failure("connection", str(error) or type(error).__name__, "check `driftless status`, then try again")
    if isinstance(error, FileNotFoundError) and error.filename:
        return Failure("file", f"{error.filename} does not exist", "check the path")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return Failure("file", f"{place}{error.strerror or error}", "check the path, its permissions and the free disk space")
    return Failure(type(error).__name__, str(error), "read `driftless logs`")


def _address(error: httpx.ConnectError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "the endpoint"
    return f"{url.scheme}://{url.netloc.decode()}"
