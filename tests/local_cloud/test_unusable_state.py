"""After a full disk acknowledged changes are kept; a damaged state file stops the start with a clear error."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from local_cloud import lifecycle
from local_cloud.durability.write_ahead_log import WriteAheadLog
from local_cloud.state import REPOSITORY
from tests.local_cloud.conftest import Functions, eventually, free_port, kill
from tests.local_cloud.mends.conftest import Emulator, connect

NO_TOPICS_WHILE = """
import pathlib
from local_cloud.durability import snapshots
snapshots._RETRY = 0.1
write = snapshots.Snapshots._write
def refusing(self, name, state):
    if name == "sns" and pathlib.Path({blocked!r}).exists():
        pathlib.Path({blocked!r} + ".seen").touch()
        raise OSError("no space left on device")
    write(self, name, state)
snapshots.Snapshots._write = refusing
"""
NOTHING_BY_THE_CLOCK = "from local_cloud.durability import snapshots; snapshots._TICK = 1e6"
#: In a process of its own: the limit is one for all threads and files of a process.
LOG_ON_A_FULL_DISK = """
import pathlib, resource, sys
from local_cloud.durability.write_ahead_log import WriteAheadLog
folder = pathlib.Path(sys.argv[1])
log = WriteAheadLog(folder)
log.append(b"one")
[path] = folder.iterdir()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
for _ in range(2):
    try:
        log.append(b"lost")
    except OSError:
        print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.append(b"two")
"""
DYNAMODB = {"TableName": "table"}


@contextmanager
def full_disk(cloud: Emulator, size: int) -> Iterator[None]:
    """No file of the server may grow beyond so many bytes; a write across that border is short, one behind it fails."""
    process = psutil.Process(cloud.pid)
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A cloud that saves what has to be saved at once and nothing by the clock, which would begin new files in between."""
    cloud = Emulator(tmp_path_factory.mktemp("full-disk"))
    cloud.start(NOTHING_BY_THE_CLOCK)
    try:
        yield cloud
    finally:
        cloud.kill()


def restart(cloud: Emulator) -> None:
    cloud.kill()
    cloud.start(NOTHING_BY_THE_CLOCK)


def make_table(dynamodb: Any, name: str = "table") -> None:
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    dynamodb.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")


def put(dynamodb: Any, key: str) -> None:
    dynamodb.put_item(**DYNAMODB, Item={"pk": {"S": key}}, ConditionExpression="attribute_not_exists(pk)")


def items(dynamodb: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dynamodb.scan(**DYNAMODB)["Items"]
    return sorted(found, key=lambda item: str(item["pk"]))


def test_writes_after_a_full_disk_are_durable(cloud: Emulator) -> None:
    dynamodb = cloud.client("dynamodb")
    make_table(dynamodb)
    put(dynamodb, "a")
    [log] = (cloud.state / "s" / "data" / "journal").iterdir()
    with full_disk(cloud, log.stat().st_size + 10):
        for key in ("b", "c"):
            with pytest.raises(ClientError, match="InternalError"):
                put(dynamodb, key)
    one = {":one": {"N": "1"}}
    dynamodb.update_item(  # builds on the write that failed, and is there for all to see
        **DYNAMODB,
        Key={"pk": {"S": "b"}},
        UpdateExpression="SET n = :one",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeValues=one,
    )
    put(dynamodb, "d")
    before = items(dynamodb)
    assert [item["pk"]["S"] for item in before] == ["a", "b", "d"]
    restart(cloud)
    assert items(cloud.client("dynamodb")) == before


def test_an_unsaved_bucket_or_table_is_saved_before_its_first_write(cloud: Emulator) -> None:
    s3, dynamodb = cloud.client("s3"), cloud.client("dynamodb")
    s3.create_bucket(Bucket="first")
    with full_disk(cloud, 1):
        with pytest.raises(ClientError):
            s3.create_bucket(Bucket="second")
        with pytest.raises(ClientError):
            make_table(dynamodb, "second")
    s3.put_object(Bucket="second", Key="k", Body=b"b")
    dynamodb.put_item(TableName="second", Item={"pk": {"S": "a"}})
    before = s3.list_buckets()["Buckets"]
    restart(cloud)
    s3 = cloud.client("s3")
    assert s3.list_buckets()["Buckets"] == before
    assert s3.get_object(Bucket="second", Key="k")["Body"].read() == b"b"
    assert cloud.client("dynamodb").scan(TableName="second")["Count"] == 1


def test_an_object_version_that_cannot_be_stored_is_not_replaced(cloud: Emulator) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    large = b"x" * 100_000
    s3.put_object(Bucket="versions", Key="k", Body=large)
    with full_disk(cloud, 10_000), pytest.raises(ClientError, match="500"):
        s3.put_object(Bucket="versions", Key="k", Body=b"small")
    assert s3.get_object(Bucket="versions", Key="k")["Body"].read() == large
    s3.put_object(Bucket="versions", Key="k", Body=b"later")
    restart(cloud)
    s3 = cloud.client("s3")
    listed = s3.list_object_versions(Bucket="versions")["Versions"]
    bodies = [s3.get_object(Bucket="versions", Key="k", VersionId=each["VersionId"])["Body"].read() for each in listed]
    assert bodies == [b"later", large]


def test_a_failed_save_does_not_block_other_services_and_is_retried(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    cloud = Emulator(tmp_path)
    cloud.start(NO_TOPICS_WHILE.format(blocked=str(blocked)))
    blocked.touch()
    try:
        cloud.client("sns").create_topic(Name="topic")
        cloud.client("ssm").put_parameter(Name="/p", Value="v", Type="String")
        services = tmp_path / "s" / "data" / "services"
        eventually((services / "ssm.json").exists)
        eventually((tmp_path / "blocked.seen").exists)
        assert not (services / "sns.json").exists()
        blocked.unlink()
        eventually((services / "sns.json").exists)
    finally:
        cloud.kill()


def test_a_log_record_after_a_failed_append_is_read_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOG_ON_A_FULL_DISK, str(tmp_path)]
    assert subprocess.check_output(command, cwd=REPOSITORY) == b"refused\nrefused\n"
    assert list(WriteAheadLog(tmp_path).read(0)) == [b"one", b"two"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Callable[[], lifecycle.Cloud]]]:
    """A cloud that was killed, with a parameter, a function that has a layer, and an item; and what starts it again."""
    state, port = tmp_path_factory.mktemp("damaged"), free_port()
    try:
        cloud = lifecycle.up(state, port)
        connect(cloud.endpoint, "ssm").put_parameter(Name="/p", Value="v", Type="String")
        functions = Functions(cloud.endpoint)
        functions.create("def handler(event, context): return 1", Layers=[functions.layer({"python/x.py": "X = 1"})])
        dynamodb = connect(cloud.endpoint, "dynamodb")
        make_table(dynamodb)
        put(dynamodb, "a")
        services = state / "data" / "services"
        eventually(lambda: all((services / f"{name}.json").exists() for name in ("ssm", "lambda", "dynamodb")))
        eventually(lambda: '"layer":' in (services / "lambda.json").read_text())
        assert cloud.pid is not None
        kill(cloud.pid)
        yield state, lambda: lifecycle.up(state, port)
    finally:
        lifecycle.down(state)


def truncated(services: Path) -> Path:
    path = services / "ssm.json"
    path.write_bytes(path.read_bytes()[:-10])
    return path


def newer(services: Path) -> Path:
    path = services / "ssm.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "__ministack_format__": 99}))
    return path


def not_text(services: Path) -> Path:
    path = services / "ssm.json"
    path.write_bytes(b"\xff\xfe")
    return path


def without_a_layer(services: Path) -> Path:
    for layer in (services / "layers").iterdir():
        layer.unlink()
    return services / "lambda.json"


def with_a_write_that_is_not_accepted(services: Path) -> Path:
    head = {"account": "000000000000", "region": "us-east-1", "operation": "PutItem"}
    write = {**DYNAMODB, "Item": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(pk)"}
    log = WriteAheadLog(services.parent / "journal")
    log.append(json.dumps(head).encode() + b"\n" + json.dumps(write).encode())
    return log.folder


@pytest.mark.parametrize("damage", [truncated, newer, not_text, without_a_layer, with_a_write_that_is_not_accepted])
def test_unusable_state_stops_the_start(
    stopped: tuple[Path, Callable[[], lifecycle.Cloud]], damage: Callable[[Path], Path]
) -> None:
    state, start = stopped
    services = state / "data" / "services"
    whole = kept(state)
    culprit = damage(services)
    damaged = kept(state)
    try:
        with pytest.raises(lifecycle.CloudError, match=f"{culprit} cannot be used"):
            start()
        assert kept(state) == damaged
    finally:
        for path in kept(state):
            path.unlink()
        for path, content in whole.items():
            path.write_bytes(content)


def test_repaired_state_is_restored(stopped: tuple[Path, Callable[[], lifecycle.Cloud]]) -> None:
    cloud = stopped[1]()
    assert connect(cloud.endpoint, "ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v"
    assert [item["pk"]["S"] for item in items(connect(cloud.endpoint, "dynamodb"))] == ["a"]


def kept(state: Path) -> dict[Path, bytes]:
    """What the cloud keeps of the services."""
    folders = [state / "data" / name for name in ("services", "journal", "executions")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name]
    return {path: path.read_bytes() for path in files}
