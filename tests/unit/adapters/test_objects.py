"""The contract of the ObjectStore port, run against S3 (moto in process), a folder and memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError
from moto import mock_aws

from driftless.adapters.aws import translate, translated
from driftless.adapters.local import FolderStore
from driftless.adapters.s3 import S3Store
from driftless.errors import (
    AccessDenied,
    BadRequest,
    Conflict,
    DriftlessError,
    IntegrityError,
    NotFound,
    StoreUnavailable,
    Throttled,
)
from driftless.ports import ObjectStore
from driftless.records import Ref
from driftless.testing.memory import MemoryStore

LARGE = b"driftless" * 400_000


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture(params=["s3", "folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        return S3Store("lake", client=request.getfixturevalue("s3"))
    if request.param == "folder":
        return FolderStore(tmp_path / "bucket")
    return MemoryStore()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_object_is_read_as_written_with_its_digest(store: ObjectStore) -> None:
    ref = store.put("a/b.bin", b"one", content_type="application/json")
    assert ref == Ref(key="a/b.bin", sha256=sha256(b"one"), size=3)
    assert store.get("a/b.bin") == b"one"
    store.put("a/b.bin", b"two")
    assert store.get("a/b.bin") == b"two"


def test_absent_objects_are_not_found(store: ObjectStore, tmp_path: Path) -> None:
    for read in (store.get, lambda key: store.get_if_changed(key, None), lambda key: store.download(key, tmp_path / "x")):
        with pytest.raises(NotFound, match="nothing/here"):
            read("nothing/here")


def test_put_if_absent_keeps_the_first_content(store: ObjectStore) -> None:
    first = store.put("once", b"one", if_absent=True)
    assert store.put("once", b"one", if_absent=True) == first
    with pytest.raises(Conflict):
        store.put("once", b"two", if_absent=True)
    assert store.get("once") == b"one"


def test_get_if_changed_returns_only_changed_content(store: ObjectStore) -> None:
    store.put("endpoint.json", b"one")
    first = store.get_if_changed("endpoint.json", None)
    assert first is not None and first[0] == b"one"
    assert store.get_if_changed("endpoint.json", first[1]) is None
    store.put("endpoint.json", b"two")
    second = store.get_if_changed("endpoint.json", first[1])
    assert second is not None and second[0] == b"two" and second[1] != first[1]


def test_put_if_unchanged_fails_after_another_write(store: ObjectStore) -> None:
    for stale in ('"0"', "0"):
        with pytest.raises(Conflict):
            store.put_if_unchanged("endpoint.json", b"early", stale)
    assert store.put_if_unchanged("endpoint.json", b"one", None) == Ref(key="endpoint.json", sha256=sha256(b"one"), size=3)
    with pytest.raises(Conflict):
        store.put_if_unchanged("endpoint.json", b"late", None)
    read = store.get_if_changed("endpoint.json", None)
    assert read is not None and read[0] == b"one"
    store.put_if_unchanged("endpoint.json", b"two", read[1])
    with pytest.raises(Conflict):
        store.put_if_unchanged("endpoint.json", b"late", read[1])
    assert store.get("endpoint.json") == b"two" and store.list("") == ["endpoint.json"]


def test_one_of_many_writers_that_read_the_same_content_wins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("endpoint.json", b"start")
    read = store.get_if_changed("endpoint.json", None)
    assert read is not None

    def write(number: int) -> bool:
        try:
            store.put_if_unchanged("endpoint.json", b"%d" % number, read[1])
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(40))) == 1


def test_files_are_uploaded_and_downloaded_with_their_digest(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    ref = store.upload(source, "big")
    assert ref == Ref(key="big", sha256=sha256(LARGE), size=len(LARGE))
    assert store.download("big", tmp_path / "copy") == ref
    assert store.fetch(ref, tmp_path / "checked").read_bytes() == LARGE


def test_fetch_refuses_an_object_that_is_not_what_was_recorded(store: ObjectStore, tmp_path: Path) -> None:
    recorded = store.put("model", b"signed")
    store.put("model", b"forged")
    with pytest.raises(IntegrityError, match=recorded.sha256):
        store.fetch(recorded, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_list_is_sorted_and_bound_to_the_prefix(store: ObjectStore) -> None:
    for key in ("runs/b", "runs/a/1", "runs/a/2", "run", "other/runs/a"):
        store.put(key, b"")
    assert store.list("runs/") == ["runs/a/1", "runs/a/2", "runs/b"]
    assert store.list("runs/a") == ["runs/a/1", "runs/a/2"]
    assert store.list("none/") == []


def test_an_older_version_can_be_downloaded_by_its_id(s3: Any, tmp_path: Path) -> None:
    memory = MemoryStore()
    memory.put("file", b"old")
    memory.put("file", b"new")
    old = s3.put_object(Bucket="lake", Key="file", Body=b"old")["VersionId"]
    s3.put_object(Bucket="lake", Key="file", Body=b"new")
    for store, version in ((memory, memory.version_ids("file")[0]), (S3Store("lake", client=s3), old)):
        store.download("file", tmp_path / "old", version_id=version)
        assert (tmp_path / "old").read_bytes() == b"old"
        assert store.get("file") == b"new"


def client_error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


@pytest.mark.parametrize(
    ("code", "status", "leaf"),
    [
        ("NoSuchKey", 404, NotFound),
        ("ResourceNotFoundException", 400, NotFound),
        ("SlowDown", 503, Throttled),
        ("ThrottlingException", 400, Throttled),
        ("PreconditionFailed", 412, Conflict),
        ("ConditionalCheckFailedException", 400, Conflict),
        ("TransactionConflictException", 400, Conflict),
        ("AccessDenied", 403, AccessDenied),
        ("InternalError", 500, StoreUnavailable),
        ("RequestTimeout", 400, StoreUnavailable),
        ("ValidationException", 400, BadRequest),
    ],
)
def test_service_errors_become_errors_of_the_tree(code: str, status: int, leaf: type[DriftlessError]) -> None:
    error = translate(client_error(code, status), "read s3://lake/a")
    assert type(error) is leaf
    assert "read s3://lake/a" in str(error) and code in str(error)


def test_a_service_that_does_not_respond_is_unavailable_and_chained() -> None:
    with pytest.raises(StoreUnavailable) as caught, translated("read"):
        raise ConnectTimeoutError(endpoint_url="http://127.0.0.1:9")
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)
    with pytest.raises(AccessDenied), translated("read"):
        raise NoCredentialsError()
