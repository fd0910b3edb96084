"""Events, alarms, queues and the API: how the loop is closed, and what a project folder adds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from driftless.data.validation.source import LIMIT, WORK_PER_BYTE
from driftless.definition.loading import load
from driftless.serving.inference.schema import request_schema
from infra.functions import FUNCTIONS
from tests.infra.conftest import ALIKE, EXTRA_PROJECT, ROOT, Synth


def rules(synth: Synth) -> dict[str, dict[str, Any]]:
    return {name: rule["Properties"] for name, rule in synth.resources("AWS::Events::Rule").items()}


def test_a_landed_file_starts_ingestion(local: Synth) -> None:
    rule = local.properties("AWS::Events::Rule", "FileLanded")
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert "BucketsLanding" in json.dumps(rule["EventPattern"]["detail"]["bucket"]["name"])
    assert "IngestMachine" in json.dumps(rule["Targets"][0]["Arn"])


def test_a_raised_alarm_of_this_stage_triggers_the_governor(local: Synth) -> None:
    rule = local.properties("AWS::Events::Rule", "AlarmRaised")
    assert rule["EventPattern"] == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {
            "alarmName": [{"prefix": "driftless-local-monitoring-"}],
            "configuration": {"description": [{"prefix": '{"project"'}]},
            "state": {"value": ["ALARM"]},
        },
    }
    assert "GovernorLive" in json.dumps(rule["Targets"][0]["Arn"])


def test_only_drift_and_harm_alarms_match_the_governors_rule(local: Synth) -> None:
    named = [a["Properties"]["AlarmDescription"] for a in local.resources("AWS::CloudWatch::Alarm").values()]
    assert sum(description.startswith('{"project"') for description in named) == 4


def test_every_rule_keeps_what_it_cannot_deliver(local: Synth) -> None:
    found = rules(local)
    # One for landing, one for alarms, two schedules for each of two projects.
    assert len(found) == 2 + 2 * 2
    for name, rule in found.items():
        for target in rule["Targets"]:
            assert "UndeliveredEvents" in json.dumps(target["DeadLetterConfig"]), name
            assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0, name


@pytest.mark.parametrize(("project", "retraining"), [("flights", "rate(7 days)"), (EXTRA_PROJECT, "rate(3 days)")])
def test_a_project_has_its_schedules(local: Synth, project: str, retraining: str) -> None:
    identifier = project.replace("_", "")
    rule = local.properties("AWS::Events::Rule", f"Project{identifier}Retraining")
    assert rule["ScheduleExpression"] == retraining
    transformer = rule["Targets"][0]["InputTransformer"]
    ((name, path),) = transformer["InputPathsMap"].items()
    request = json.loads(transformer["InputTemplate"].replace(f"<{name}>", json.dumps(path)))
    wanted = {"project": project, "reason": "schedule", "event_id": "$.id", "asked_by": "schedule"}
    assert request == wanted, "an event delivered twice is one request"
    assert "Input" not in rule["Targets"][0]
    assert "GovernorLive" in json.dumps(rule["Targets"][0]["Arn"])
    watching = local.properties("AWS::Events::Rule", f"Project{identifier}Monitoring")
    assert watching["ScheduleExpression"] == "rate(1 hour)"
    assert json.loads(watching["Targets"][0]["Input"]) == {"project": project}
    assert "MonitorMachine" in json.dumps(watching["Targets"][0]["Arn"])


@pytest.mark.parametrize("project", ["flights", EXTRA_PROJECT])
@pytest.mark.parametrize("signal", ["harm", "drift"])
def test_a_project_has_its_alarms(local: Synth, project: str, signal: str) -> None:
    alarm = local.properties("AWS::CloudWatch::Alarm", f"Project{project.replace('_', '')}Alarms{signal.title()}")
    assert json.loads(alarm["AlarmDescription"]) == {"project": project, "signal": signal}
    assert (alarm["Namespace"], alarm["MetricName"]) == ("Driftless", f"{signal.title()}Level")
    assert alarm["Dimensions"] == [{"Name": "Project", "Value": project}, {"Name": "Stage", "Value": "local"}]
    assert (alarm["Statistic"], alarm["Period"], alarm["Threshold"]) == ("Maximum", 60, 2)
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (1, 1)
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("GreaterThanOrEqualToThreshold", "notBreaching")
    assert "Notifications" in json.dumps(alarm["AlarmActions"])


def test_a_project_folder_adds_this_and_nothing_else(local: Synth, prod: Synth) -> None:
    def belonging(synth: Synth) -> set[str]:
        resources = [entry for template in synth.templates.values() for entry in template["Resources"].items()]
        return {r["Type"] for name, r in resources if "secondmodel" in name.lower()}

    assert not belonging(prod)
    added = sorted(belonging(local))
    assert added == [
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Model",
        "AWS::ApiGateway::Resource",
        "AWS::CloudWatch::Alarm",
        "AWS::Events::Rule",
    ]


def test_policies_have_constant_size_per_project(local: Synth, prod: Synth) -> None:
    """SQS allows a policy 20 statements, Lambda 20 KB: with a statement a project, there could be few."""
    few, many = ({**s.resources("AWS::SQS::QueuePolicy"), **s.resources("AWS::IAM::Policy")} for s in (prod, local))
    for name in few.keys() & many.keys():
        statements = [len(policies[name]["Properties"]["PolicyDocument"]["Statement"]) for policies in (few, many)]
        assert statements[0] == statements[1], name
    (permission,) = [
        p["Properties"]
        for p in local.resources("AWS::Lambda::Permission", "monitoring").values()
        if p["Properties"]["Principal"] == "events.amazonaws.com"
    ]
    assert json.dumps(permission["SourceArn"]).endswith(':rule/driftless-local-*"]]}')
    (queue,) = [p["Properties"] for n, p in many.items() if n.startswith("monitoring/UndeliveredEvents")]
    sending = [s for s in queue["PolicyDocument"]["Statement"] if s["Action"] == "sqs:SendMessage"]
    assert [s["Condition"]["ArnLike"]["aws:SourceArn"] for s in sending] == [permission["SourceArn"]]


def test_the_dashboard_shows_every_project(local: Synth) -> None:
    body = json.dumps(local.properties("AWS::CloudWatch::Dashboard", "Dashboard")["DashboardBody"])
    for project in ("flights", EXTRA_PROJECT):
        assert f"# {project}" in body
        assert f"/{project}/predictions" in body
    for metric in ("DriftLevel", "HarmLevel", "Latency", "5XXError", "PrimaryMetric"):
        assert metric in body
    assert "FunctionName=(driftless local)" in body


def methods(synth: Synth) -> dict[tuple[str, str], dict[str, Any]]:
    """Methods by path and verb."""
    resources = {name.split("/")[1]: r["Properties"] for name, r in synth.resources("AWS::ApiGateway::Resource").items()}

    def path(reference: dict[str, Any]) -> str:
        if "Ref" not in reference:
            return ""
        own = resources[reference["Ref"]]
        return f"{path(own['ParentId'])}/{own['PathPart']}"

    found = [m["Properties"] for m in synth.resources("AWS::ApiGateway::Method").values()]
    return {(path(m["ResourceId"]), m["HttpMethod"]): m for m in found}


def test_routes(local: Synth) -> None:
    projects = ("flights", EXTRA_PROJECT, "{project}")
    expected = {("/health", "GET"), ("/openapi.json", "GET"), ("/docs", "GET")}
    for project in projects:
        expected |= {(f"/{project}/predictions", "POST"), (f"/{project}/labels", "POST"), (f"/{project}/model", "GET")}
    found = methods(local)
    assert set(found) == expected
    for (path, verb), method in found.items():
        target = "LabelsLive" if path.endswith("/labels") else "InferenceLive"
        assert target in json.dumps(method["Integration"]["Uri"]), (path, verb)


def test_every_method_is_signed_but_for_the_pages_a_stage_opens(local: Synth, prod: Synth) -> None:
    pages = {("/health", "GET"), ("/openapi.json", "GET"), ("/docs", "GET")}
    for synth, unsigned in ((local, pages), (prod, set())):
        found = {route: method["AuthorizationType"] for route, method in methods(synth).items()}
        assert {route for route, kind in found.items() if kind == "NONE"} == unsigned
        assert {route for route, kind in found.items() if kind == "AWS_IAM"} == set(found) - unsigned


def test_requests_are_left_to_the_function_which_names_the_field(local: Synth) -> None:
    assert not local.resources("AWS::ApiGateway::RequestValidator")


def test_projects_whose_names_differ_by_an_underscore_are_two(dev: Synth) -> None:
    found = methods(dev)
    models = {name: found[f"/{name}/predictions", "POST"]["RequestModels"]["application/json"]["Ref"] for name in ALIKE}
    assert len(set(models.values())) == 2
    assert len({json.dumps(alarm(dev, "ModelRefused", Stage="dev", Project=name)) for name in ALIKE}) == 2


@pytest.mark.parametrize("project", ["flights", EXTRA_PROJECT])
def test_a_project_has_its_request_model(local: Synth, project: str) -> None:
    model = methods(local)[f"/{project}/predictions", "POST"]["RequestModels"]["application/json"]["Ref"]
    schema = local.templates["serving"]["Resources"][model]["Properties"]["Schema"]
    assert schema == request_schema(load(ROOT / "projects" / "flights"))


def test_the_api_logs_traces_and_throttles(local: Synth) -> None:
    stage = local.properties("AWS::ApiGateway::Stage", "DeploymentStage")
    assert "AccessLogs" in json.dumps(stage["AccessLogSetting"]["DestinationArn"])
    assert stage["TracingEnabled"] is True
    settings = {(s["ResourcePath"], s["HttpMethod"]): s for s in stage["MethodSettings"]}
    assert settings["/*", "*"]["ThrottlingRateLimit"] == 5000
    assert settings["/*", "*"]["MetricsEnabled"] is True
    assert settings["/*", "*"]["DataTraceEnabled"] is False
    own = settings["/~1flights~1predictions", "POST"]
    assert own["ThrottlingRateLimit"] == 500
    # What a method does not say of itself is off for it, whatever the stage says.
    for said in ("LoggingLevel", "MetricsEnabled", "DataTraceEnabled"):
        assert own[said] == settings["/*", "*"][said]


def test_the_gateways_execution_logs_are_deleted_with_the_stage(local: Synth) -> None:
    group = local.properties("AWS::Logs::LogGroup", "ExecutionLogs")
    (prefix, api, suffix) = group["LogGroupName"]["Fn::Join"][1]
    assert (prefix, suffix) == ("API-Gateway-Execution-Logs_", "/local")
    assert api["Ref"] in local.templates["serving"]["Resources"]
    (stage,) = local.resources("AWS::ApiGateway::Stage").values()
    assert any("ExecutionLogs" in name for name in stage["DependsOn"])


def test_error_responses_of_the_gateway_are_problems(local: Synth) -> None:
    responses = local.resources("AWS::ApiGateway::GatewayResponse").values()
    assert {a["Properties"]["ResponseType"] for a in responses} == {"DEFAULT_4XX", "DEFAULT_5XX"}
    for response in responses:
        header = response["Properties"]["ResponseParameters"]["gatewayresponse.header.Content-Type"]
        assert header == "'application/problem+json'"


def test_the_prediction_log_reaches_the_collector(local: Synth) -> None:
    journal = local.properties("AWS::Logs::SubscriptionFilter", "Journal")
    assert journal["FilterPattern"] == '{ $.kind = "prediction" }'
    assert "InferenceLogs" in json.dumps(journal["LogGroupName"])
    assert "CollectorLive" in json.dumps(journal["DestinationArn"])
    asynchronous = local.properties("AWS::Lambda::EventInvokeConfig", "Collector")
    assert "CollectorFailures" in json.dumps(asynchronous["DestinationConfig"]["OnFailure"]["Destination"])
    assert "CollectorLive" in json.dumps(asynchronous["Qualifier"])
    assert asynchronous["MaximumRetryAttempts"] == 2


def test_a_failed_batch_is_received_from_its_queue_as_one_message(local: Synth) -> None:
    queue = local.properties("AWS::SQS::Queue", "CollectorFailuresQueue")
    redrive = queue["RedrivePolicy"]
    assert (redrive["maxReceiveCount"], "CollectorFailuresDead" in json.dumps(redrive["deadLetterTargetArn"])) == (5, True)
    function = local.properties("AWS::Lambda::Function", "CollectorFunction")
    # Lambda's documentation, "Using Lambda with Amazon SQS": at least six times the function's timeout.
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    mapping = local.properties("AWS::Lambda::EventSourceMapping", "Retries")
    assert "CollectorFailuresQueue" in json.dumps(mapping["EventSourceArn"])
    assert "CollectorLive" in json.dumps(mapping["FunctionName"])
    assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    (dead,) = [name for name in local.resources("AWS::SQS::Queue") if "Dead" in name]
    alarms = [a for a in local.resources("AWS::CloudWatch::Alarm").values() if dead.split("/")[1] in json.dumps(a)]
    assert len(alarms) == 1


def test_queues_are_encrypted_long_lived_and_watched(local: Synth) -> None:
    queues = local.resources("AWS::SQS::Queue")
    assert len(queues) == 4
    for name, queue in queues.items():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
        logical = name.split("/")[1]
        if "RedrivePolicy" in queue["Properties"]:
            # It is worked off by itself; what it cannot get rid of lies in the next one.
            continue
        alarms = [a for a in local.resources("AWS::CloudWatch::Alarm", name.split("/")[0]).values() if logical in json.dumps(a)]
        assert [a["Properties"]["MetricName"] for a in alarms] == ["ApproximateNumberOfMessagesVisible"]


def alarm(synth: Synth, metric: str, **dimensions: str) -> dict[str, Any]:
    """The one alarm on a metric with exactly these dimensions."""
    wanted = [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())]
    alarms = [a["Properties"] for a in synth.resources("AWS::CloudWatch::Alarm").values()]
    (found,) = [a for a in alarms if a.get("MetricName") == metric and a["Dimensions"] == wanted]
    return dict(found)


@pytest.mark.parametrize("project", ["flights", EXTRA_PROJECT])
@pytest.mark.parametrize("metric", ["EndpointRefreshFailed", "ModelRefused", "PredictionErrors"])
def test_what_inference_reports_of_a_project_reaches_people(local: Synth, project: str, metric: str) -> None:
    alarms_on_one(alarm(local, metric, Stage="local", Project=project), "Driftless")


def test_unreadable_lines_and_errors_of_the_api_reach_people(local: Synth) -> None:
    alarms_on_one(alarm(local, "UnreadableLines", Stage="local"), "Driftless")
    alarms_on_one(alarm(local, "5XXError", Stage="local", ApiName="driftless-local"), "AWS/ApiGateway")
    (api,) = local.resources("AWS::ApiGateway::RestApi").values()
    assert api["Properties"]["Name"] == "driftless-local"


@pytest.mark.parametrize("metric", ["DeliveryErrors", "DeliveryThrottling"])
def test_predictions_that_do_not_reach_the_collector_raise_an_alarm(local: Synth, metric: str) -> None:
    alarms = [a["Properties"] for a in local.resources("AWS::CloudWatch::Alarm").values()]
    (found,) = [a for a in alarms if a.get("MetricName") == metric]
    alarms_on_one(found, "AWS/Logs")
    dimensions = {entry["Name"]: entry["Value"] for entry in found["Dimensions"]}
    assert dimensions["DestinationType"] == "Lambda"
    assert "InferenceLogs" in json.dumps(dimensions["LogGroupName"])
    assert "Journal" in dimensions["FilterName"]["Ref"]


@pytest.mark.parametrize("project", ["flights", EXTRA_PROJECT])
def test_predictions_that_are_not_in_the_lake_keep_their_alarm_raised(local: Synth, project: str) -> None:
    found = alarm(local, "UncollectedPredictions", Stage="local", Project=project)
    assert (found["Namespace"], found["Threshold"], found["TreatMissingData"]) == ("Driftless", 1, "ignore")
    assert (found["ComparisonOperator"], found["EvaluationPeriods"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert "Notifications" in json.dumps(found["AlarmActions"])


def alarms_on_one(found: dict[str, Any], namespace: str) -> None:
    assert (found["Namespace"], found["Statistic"], found["Period"], found["Threshold"]) == (namespace, "Sum", 60, 1)
    assert (found["ComparisonOperator"], found["TreatMissingData"]) == ("GreaterThanOrEqualToThreshold", "notBreaching")
    assert "Notifications" in json.dumps(found["AlarmActions"])


def test_every_failure_the_library_counts_has_its_alarm(local: Synth) -> None:
    """Every metric in the library whose name ends like a failure's has an alarm."""
    library = ROOT / "layers/shared/python/driftless"
    written = "".join(path.read_text() for folder in ("serving", "entrypoint") for path in (library / folder).rglob("*.py"))
    counted = set(re.findall(r'"((?:[A-Z][a-z]+)+(?:Failed|Refused|Errors|Lines))"', written))
    alarms = {a["Properties"].get("MetricName") for a in local.resources("AWS::CloudWatch::Alarm").values()}
    assert {"ModelRefused", "PredictionErrors"} <= counted <= alarms


def test_every_function_and_machine_alarms_on_failure(local: Synth) -> None:
    alarms = [a["Properties"] for a in local.resources("AWS::CloudWatch::Alarm").values()]
    assert all(alarm["AlarmActions"] for alarm in alarms)
    assert sum(alarm.get("MetricName") == "Errors" for alarm in alarms) == len(FUNCTIONS)
    assert sum(alarm.get("Namespace") == "AWS/States" for alarm in alarms) == 3 * 3


@pytest.mark.parametrize("folder", sorted(FUNCTIONS))
def test_functions_equal_the_catalogue(local: Synth, folder: str) -> None:
    spec = FUNCTIONS[folder]
    function = local.properties("AWS::Lambda::Function", f"{folder.title()}Function")
    assert (function["MemorySize"], function["Timeout"], function["Handler"]) == (spec.memory, spec.timeout, "handler.handler")
    assert len(function["Layers"]) == len(spec.layers) <= 5
    assert {layer["Ref"].split("Layer")[0].lower() for layer in function["Layers"]} == set(spec.layers)
    variables = function["Environment"]["Variables"]
    assert (variables["STAGE"], variables["POWERTOOLS_SERVICE_NAME"]) == ("local", folder)


def test_no_function_needs_more_memory_than_a_new_account_has(prod: Synth) -> None:
    sizes = {name: f["Properties"]["MemorySize"] for name, f in prod.resources("AWS::Lambda::Function").items()}
    assert {name: size for name, size in sizes.items() if size > 3008} == {}


def test_scratch_disks_hold_what_the_functions_accept(prod: Synth) -> None:
    functions = prod.resources("AWS::Lambda::Function").values()
    disks = {
        f["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]: f["Properties"].get(
            "EphemeralStorage", {"Size": 512}
        )["Size"]
        for f in functions
        if "Environment" in f["Properties"]
    }
    assert disks == {name: spec.disk for name, spec in FUNCTIONS.items()}
    assert all(512 <= size <= 10_240 for size in disks.values())
    # The packed file lies beside the unpacked one, and the unpacked one beside what is made of it.
    assert disks["validation"] << 20 >= LIMIT * (2 + WORK_PER_BYTE)
    assert disks["ingestion"] << 20 >= LIMIT
    assert disks["transform"] == max(disks.values())
    frozen = [f["Properties"] for f in functions if "SnapStart" in f["Properties"]]
    assert frozen and not any("EphemeralStorage" in properties for properties in frozen)


@pytest.mark.parametrize("folder", sorted(FUNCTIONS))
def test_every_function_of_the_catalogue_has_its_handler(folder: str) -> None:
    assert (ROOT / "lambdas" / folder / "handler.py").is_file()


def test_everything_a_person_needs_is_published(local: Synth) -> None:
    names = {p["Properties"]["Name"] for p in local.resources("AWS::SSM::Parameter").values()}
    expected = {
        *(f"functions/{folder}" for folder in FUNCTIONS),
        *(f"buckets/{bucket}" for bucket in ("landing", "lake", "artifacts")),
        *(f"machines/{machine}" for machine in ("ingest", "train_and_deploy", "monitor")),
        *(f"queues/{queue}" for queue in ("collector-failures", "collector-dead", "pipeline-events", "monitoring-events")),
        "tables/registry",
        "topics/notifications",
        "keys/signing",
        "api/url",
        "logs/inference",
        "commit",
        "projects",
    }
    assert names == {f"/driftless/local/{name}" for name in expected}
    assert local.properties("AWS::SSM::Parameter", "ParameterCommit")["Value"] == "0" * 40
    assert local.properties("AWS::SSM::Parameter", "ParameterProjects")["Value"] == f"flights,{EXTRA_PROJECT}"
