"""The inference function as a process: started fresh, reading a bucket over HTTP, without boto3 or any training library."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from driftless.adapters.obstore import ObstoreReader
from driftless.definition.loading import load
from driftless.errors import AccessDenied, NotFound, StoreUnavailable
from driftless.testing.memory import MemoryStore
from tests.unit.modelling.models import Key, point, publish
from tests.unit.serving.inference.conftest import event

ROOT = Path(__file__).parents[4]
FORBIDDEN = ("boto3", "botocore", "sklearn", "pandas", "duckdb", "deltalake", "scipy", "aws_xray_sdk")
RECORD = {
    **{
        "hour": 8,
        "minute": 30,
        "weekday": 1,
        "sched_minutes": 120,
        "distance": 500,
        "carrier": "UA",
        "origin": "JFK",
        "dest": "BOS",
    },
    "time_hour": "2013-05-01T12:00:00Z",
}
PROGRAM = """
import importlib.util, json, sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"{name} is not in this function's layers", name=name)

FORBIDDEN = json.loads(sys.argv[1])
sys.meta_path.insert(0, Blocked())
spec = importlib.util.spec_from_file_location("handler", sys.argv[2])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    print("RESPONSE " + json.dumps(module.handler(json.loads(line), None)), flush=True)
print("MODULES " + json.dumps(sorted({name.partition(".")[0] for name in sys.modules} & set(FORBIDDEN))))
"""


class Bucket:
    """Just enough of S3's read side over HTTP: path style, ETags, 304, 404, 403 and 500."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.status = 0
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key = self.path.removeprefix("/bucket/")
                if outer.status:
                    self._respond(outer.status, b"")
                    return
                try:
                    content = outer.store.get(key)
                except NotFound:
                    self._respond(404, b"<Error><Code>NoSuchKey</Code></Error>")
                    return
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                unchanged = self.headers.get("If-None-Match") == etag
                self._respond(304 if unchanged else 200, b"" if unchanged else content, etag)

            def _respond(self, status: int, content: bytes, etag: str = "") -> None:
                self.send_response(status)
                self.send_header("Last-Modified", "Wed, 01 May 2013 12:00:00 GMT")
                self.send_header("Content-Length", str(len(content)))
                if etag:
                    self.send_header("ETag", etag)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing on standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    found = Bucket()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = {
        "AWS_ENDPOINT_URL": bucket.url,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def run(environment: dict[str, str], *events: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Responses, JSON lines and forbidden modules of a new process that is given some events."""
    own = {"STAGE": "test", "ARTIFACTS_BUCKET": "bucket", "POWERTOOLS_SERVICE_NAME": "inference", "OMP_NUM_THREADS": "1"}
    own["AWS_LAMBDA_FUNCTION_VERSION"] = "7"
    paths = os.pathsep.join((str(ROOT / "layers/shared/python"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(FORBIDDEN), str(ROOT / "lambdas/inference/handler.py")],
        input="".join(json.dumps(item) + "\n" for item in events),
        env={**environment, **own, "PYTHONPATH": paths, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    responses = [json.loads(line.removeprefix("RESPONSE ")) for line in lines if line.startswith("RESPONSE ")]
    written = [json.loads(line) for line in lines if line.startswith("{")]
    modules = next(json.loads(line.removeprefix("MODULES ")) for line in lines if line.startswith("MODULES "))
    return responses, written, modules


def test_the_first_prediction_of_a_new_process_needs_no_boto3(bucket: Bucket, environment: dict[str, str]) -> None:
    flights = load(ROOT / "projects" / "flights")
    point(bucket.store, flights, {1: publish(bucket.store, flights, 1, Key())}, champion=1)
    body = json.dumps({"records": [RECORD]})
    responses, written, modules = run(
        environment, event("POST", "/flights/predictions", body), event("POST", "/flights/predictions", "{")
    )
    assert [response["statusCode"] for response in responses] == [200, 400]
    assert json.loads(responses[0]["body"])["model_version"] == 1
    (line,) = [item for item in written if item.get("kind") == "prediction"]
    assert (line["project"], line["event_time"]) == ("flights", "2013-05-01T12:00:00+00:00")
    assert modules == []


def test_a_process_without_a_model_responds_and_reports(bucket: Bucket, environment: dict[str, str]) -> None:
    bucket.status = 403
    responses, written, _ = run(environment, event("POST", "/flights/predictions", json.dumps({"records": [RECORD]})))
    assert responses[0]["statusCode"] == 503
    metrics = [item for item in written if "_aws" in item]
    assert [(item["EndpointRefreshFailed"], item["Stage"]) for item in metrics] == [(1, "test"), (1, "test")]
    assert (metrics[0]["Project"], metrics[1]["CodeVersion"]) == ("flights", "7")
    (log,) = [item for item in written if "level" in item]
    assert (log["message"], log["error"]) == ("EndpointRefreshFailed", "AccessDenied")


@pytest.fixture
def reader(bucket: Bucket, environment: dict[str, str]) -> ObstoreReader:
    bucket.store.put("a/b.json", b"content")
    return ObstoreReader("bucket")


def test_the_reader_reads_and_returns_none_while_nothing_changed(bucket: Bucket, reader: ObstoreReader) -> None:
    assert reader.get("a/b.json") == b"content"
    first = reader.get_if_changed("a/b.json", None)
    assert first is not None
    assert reader.get_if_changed("a/b.json", first[1]) is None
    bucket.store.put("a/b.json", b"new")
    second = reader.get_if_changed("a/b.json", first[1])
    assert second is not None and second[0] == b"new" and second[1] != first[1]


@pytest.mark.parametrize(("status", "error"), [(0, NotFound), (403, AccessDenied), (500, StoreUnavailable)])
def test_the_reader_raises_errors_of_the_tree(bucket: Bucket, reader: ObstoreReader, status: int, error: type[Exception]) -> None:
    bucket.status = status
    with pytest.raises(error):
        reader.get("a/none.json")


def test_a_bucket_that_does_not_respond_is_unavailable(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailable):
        ObstoreReader("bucket").get("a")


def test_importing_the_function_builds_no_validator_of_a_record() -> None:
    """Each costs about a millisecond of every cold start; the two that serving reads are built when it reads them."""
    program = """
from driftless.entrypoint import inference
from driftless.records import Record
print([kind.__name__ for kind in Record.__subclasses__() if kind.__pydantic_complete__])
"""
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT / "layers/shared/python"), str(ROOT))), "PATH": os.environ["PATH"]}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
