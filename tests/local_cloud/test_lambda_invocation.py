"""An invocation has AWS Lambda's responses, error names, limits and log lines."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from botocore.exceptions import ClientError

from local_cloud import clients
from local_cloud.lifecycle import Cloud
from tests.local_cloud.conftest import Functions, alive, eventually

TALKATIVE = """
import logging, sys
logging.getLogger().setLevel("INFO")
def handler(event, context):
    print("printed")
    logging.info("first line\\nsecond line")
    print("to stderr", file=sys.stderr)
    return context.aws_request_id
"""

ODD = """
import os, time
class NotToday(Exception): pass
def handler(event, context):
    if event == "raise": raise NotToday("come back tomorrow")
    if event == "exit": os._exit(3)
    if event == "sleep": time.sleep(30)
    if event == "eat": block = bytearray(400 << 20); time.sleep(5)
    if event == "large": return "x" * (7 << 20)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def odd(functions: Functions) -> str:
    return functions.create(ODD, Timeout=20, MemorySize=128)


def test_an_exception_has_its_type_message_and_stack_and_the_environment_is_reused(functions: Functions, odd: str) -> None:
    before = functions.invoke(odd).payload
    answer = functions.invoke(odd, "raise")
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "NotToday"
    assert answer.payload["errorMessage"] == "come back tomorrow"
    assert "handler.py" in answer.payload["stackTrace"][0]
    assert "[ERROR] NotToday: come back tomorrow" in answer.log
    assert functions.invoke(odd).payload == before


def test_a_timeout_kills_the_process_and_reports_the_limit(functions: Functions) -> None:
    hasty = functions.create(ODD, Timeout=2, MemorySize=128)
    before = functions.invoke(hasty).payload
    answer = functions.invoke(hasty, "sleep")
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.payload["errorMessage"].endswith("Task timed out after 2.00 seconds")
    assert "Task timed out after 2.00 seconds" in answer.log
    assert "Status: timeout" in answer.log
    assert not alive(before)
    assert functions.invoke(hasty).payload != before


def test_a_function_over_its_memory_is_killed(functions: Functions, odd: str) -> None:
    answer = functions.invoke(odd, "eat")
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert "Max Memory Used: 128 MB" in answer.log


def test_a_process_that_exits_is_an_exit_error_with_its_status(functions: Functions, odd: str) -> None:
    answer = functions.invoke(odd, "exit")
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("Runtime exited with error: exit status 3")


def test_a_response_over_six_megabytes_is_rejected_and_the_next_event_is_served(functions: Functions, odd: str) -> None:
    answer = functions.invoke(odd, "large")
    assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert "(6291556 bytes)" in answer.payload["errorMessage"]
    assert functions.invoke(odd).error is None


def test_a_request_over_six_megabytes_is_rejected_with_413(functions: Functions, odd: str) -> None:
    with pytest.raises(ClientError) as refused:
        functions.invoke(odd, "x" * (6 << 20))
    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ("import no_such_package", "Runtime.ImportModuleError", "Unable to import module 'handler'"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'handler'"),
        ("def other(event, context): pass", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'handler'"),
        ("raise ValueError('at import')", "ValueError", "at import"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_reported_with_the_reason(
    functions: Functions, body: str, error_type: str, message: str
) -> None:
    answer = functions.invoke(functions.create(body))
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == error_type
    assert message in answer.payload["errorMessage"]


def test_the_log_tail_has_start_end_report_and_every_line_between(functions: Functions) -> None:
    name = functions.create(TALKATIVE)
    answer = functions.invoke(name)
    lines = answer.log.splitlines()
    assert lines[0] == f"START RequestId: {answer.payload} Version: $LATEST"
    assert lines[1] == "printed"
    assert re.fullmatch(rf"\[INFO\]\t\S+Z\t{answer.payload}\tfirst line", lines[2])
    assert lines[3:6] == ["second line", "to stderr", f"END RequestId: {answer.payload}"]
    assert re.fullmatch(
        rf"REPORT RequestId: {answer.payload}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 256 MB\tMax Memory Used: \d+ MB\tInit Duration: [\d.]+ ms",
        lines[6],
    )
    assert "Init Duration" not in functions.invoke(name).log


def test_each_environment_writes_to_one_log_stream(functions: Functions, cloud: Cloud) -> None:
    name = functions.create(TALKATIVE)
    functions.invoke(name)
    functions.invoke(name)
    logs = clients.session(cloud.endpoint).client("logs")
    streams = logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert len(streams) == 1
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", streams[0]["logStreamName"])
    events = logs.get_log_events(
        logGroupName=f"/aws/lambda/{name}", logStreamName=streams[0]["logStreamName"], startFromHead=True
    )["events"]
    messages = [event["message"] for event in events]
    assert sum(message.startswith("START") for message in messages) == 2
    assert sum(message.endswith("first line\nsecond line") for message in messages) == 2
    assert all(first["timestamp"] <= then["timestamp"] for first, then in itertools.pairwise(events))


def test_lines_go_to_the_configured_log_group(functions: Functions, cloud: Cloud) -> None:
    name = functions.create(TALKATIVE, LoggingConfig={"LogGroup": "/one/for/all"})
    functions.invoke(name)
    logs = clients.session(cloud.endpoint).client("logs")
    found = logs.filter_log_events(logGroupName="/one/for/all", filterPattern="printed")["events"]
    assert [event["message"] for event in found] == ["printed"]


def test_a_warm_invocation_is_fast(functions: Functions) -> None:
    name = functions.create("def handler(event, context): return 1")
    functions.invoke(name)
    took = []
    for _ in range(60):
        began = time.perf_counter()
        functions.invoke(name)
        took.append(time.perf_counter() - began)
    # Either would be in every one of them: a log wait alone is 0.050, a delayed acknowledgement 0.040.
    assert min(took) < 0.040


def test_step_functions_catches_an_error_by_its_name(functions: Functions, odd: str, cloud: Cloud) -> None:
    machines = clients.session(cloud.endpoint).client("stepfunctions")
    arn = functions.client.get_function(FunctionName=odd)["Configuration"]["FunctionArn"]
    definition = f"""{{"StartAt": "Try", "States": {{
        "Try": {{"Type": "Task", "Resource": "{arn}", "End": true,
                 "Catch": [{{"ErrorEquals": ["NotToday"], "Next": "Caught"}}]}},
        "Caught": {{"Type": "Pass", "Result": "caught", "End": true}}}}}}"""
    machine = machines.create_state_machine(name="catches", definition=definition, roleArn="arn:aws:iam::000000000000:role/test")[
        "stateMachineArn"
    ]
    execution = machines.start_execution(stateMachineArn=machine, input='"raise"')["executionArn"]

    def output() -> str | None:
        found: dict[str, str] = machines.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found["output"]

    assert eventually(output) == '"caught"'
