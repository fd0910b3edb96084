"""The lake's tables as Delta Lake: the Delta version is the data version.

Parquet files are written by DuckDB and uploaded first; a commit then adds the file's name to the table's log. The log is
written with conditional puts, so no lock table is needed, and each commit carries the identity of its source object as a Delta
application transaction: a second writer, even after a crash or at the same moment, finds it and commits nothing. The source of
a commit is kept in ``userMetadata``, where Spark and Athena show it too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import NAMESPACE_URL, uuid5

import duckdb
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, SchemaMismatchError, TableNotFoundError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction

from driftless.adapters.local import FolderStore
from driftless.core.clock import utc_now
from driftless.errors import AccessDenied, Conflict, DataRejected, IntegrityError, NotFound, StoreUnavailable
from driftless.ports import ObjectStore

_TYPES = {"integer": "long", "number": "double", "string": "string", "boolean": "boolean", "timestamp": "timestamp"}
_ATTEMPTS = 10
_AT_ONCE = 8
_LOG_FILE = re.compile(r"/_delta_log/(\d{20})\.json$")
# Versions that a run was trained on must stay readable for as long as its model is kept.
_CONFIGURATION = {"delta.logRetentionDuration": "interval 3650 days"}


class DeltaTables:
    """Tables under one root.

    Parameters
    ----------
    root : str
        ``s3://bucket`` or a local folder.
    files : ObjectStore
        The same root as an object store; Parquet files are read and written through it.
    storage_options : mapping, optional
        What deltalake's own client needs to reach ``root``.
    """

    def __init__(self, root: str, *, files: ObjectStore, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = root.rstrip("/")
        self._files = files
        self._options = dict(storage_options or {})

    def append(
        self, table: str, parquet: Path, *, columns: dict[str, str], transaction: str, commit: dict[str, str]
    ) -> tuple[int, bool]:
        found = self._open(table)
        if found is not None and _committed(found, transaction):
            return self._holding(table, found, transaction), True
        action = self._upload(table, parquet, transaction)
        schema = Schema([Field(name, PrimitiveType(_TYPES[kind])) for name, kind in columns.items()])
        note = json.dumps({**commit, "transaction": transaction}, sort_keys=True)
        for _ in range(_ATTEMPTS):
            try:
                with _translated(f"commit to {table}"):
                    return self._commit(table, action, schema, transaction, note)
            except Conflict:
                continue
        raise Conflict(f"commit to {table}: lost {_ATTEMPTS} races")

    def latest(self, table: str) -> int | None:
        found = self._open(table)
        return None if found is None else int(found.version())

    def fetch(self, table: str, version: int, folder: Path) -> list[Path]:
        found = self._open(table)
        if found is None or not 0 <= version <= found.version():
            raise NotFound(f"table {table} has no version {version}")
        with _translated(f"read {table} at version {version}"):
            found.load_as_version(version)
            actions = found.get_add_actions(flatten=True)
        committed = self._committed_by(table, version)
        # The time in the log is the writer's own clock before the race for the commit: it only orders what no log names any more.
        times = map(int, actions["modification_time"].to_pylist())
        names = list(map(str, actions["path"].to_pylist()))
        sizes = map(int, actions["size_bytes"].to_pylist())
        order = sorted((committed.get(name, -1), time, name, size) for time, name, size in zip(times, names, sizes, strict=True))
        folder.mkdir(parents=True, exist_ok=True)

        def download(position: int) -> Path:
            _, _, name, size = order[position]
            path = folder / f"{position:06d}.parquet"
            ref = self._files.download(f"{table}/{unquote(name)}", path)
            if ref.size != size:
                raise IntegrityError(f"{table}/{name} has {ref.size} bytes, the table's log says {size}")
            return path

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(download, range(len(order))))

    def history(self, table: str) -> Sequence[dict[str, Any]]:
        return [{"version": version, **_note(entries)} for version, entries in self._log(table)]

    def _open(self, table: str) -> DeltaTable | None:
        with _translated(f"open {table}"):
            try:
                found = DeltaTable(f"{self._root}/{table}", storage_options=self._options)
            except TableNotFoundError:
                return None
        # A folder with data files and no log entry yet opens as version -1.
        return found if found.version() >= 0 else None

    def _log(self, table: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Versions and their log entries, newest first; deltalake's own history numbers them by time stamp, which may tie."""
        for key in reversed(self._files.list(f"{table}/_delta_log/")):
            found = _LOG_FILE.search(key)
            if found:
                yield int(found.group(1)), self._entries(key)

    def _committed_by(self, table: str, version: int) -> dict[str, int]:
        """The version that added each file, as far as log entries up to ``version`` are there."""
        found = ((key, _LOG_FILE.search(key)) for key in self._files.list(f"{table}/_delta_log/"))
        keys = {int(match.group(1)): key for key, match in found if match and int(match.group(1)) <= version}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            entries = zip(keys, pool.map(self._entries, keys.values()), strict=True)
            return {entry["add"]["path"]: number for number, lines in entries for entry in lines if "add" in entry}

    def _entries(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._files.get(key).splitlines() if line.strip()]

    def _holding(self, table: str, found: DeltaTable, transaction: str) -> int:
        """The version that committed a transaction; the latest, which holds it too, once its log entry is gone."""
        for version, entries in self._log(table):
            if any(entry.get("txn", {}).get("appId") == transaction for entry in entries):
                return version
        return int(found.version())

    def _upload(self, table: str, parquet: Path, transaction: str) -> AddAction:
        with parquet.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        # The name depends on source and content: a repeat after a crash writes the same object, a changed file another one.
        name = f"part-{hashlib.sha256(f'{transaction} {content}'.encode()).hexdigest()[:32]}.parquet"
        ref = self._files.upload(parquet, f"{table}/{name}")
        with duckdb.connect() as connection:
            counted = connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", [str(parquet)]).fetchone()
        stats = json.dumps({"numRecords": counted[0] if counted else 0})
        now = int(utc_now().timestamp() * 1000)
        return AddAction(name, ref.size, {}, now, True, stats)

    def _commit(self, table: str, action: AddAction, schema: Schema, transaction: str, note: str) -> tuple[int, bool]:
        """One attempt; Conflict when another writer committed between reading the table and writing its log."""
        properties = CommitProperties({"userMetadata": note}, app_transactions=[Transaction(transaction, 1)])
        found = self._open(table)
        if found is None:
            self._create(table, schema)
            found = self._open(table)
        if found is None:
            raise StoreUnavailable(f"table {table} was created but cannot be read")
        self._widen(table, found, schema)
        # Read from the snapshot that the commit starts from: deltalake refuses a later commit of the same transaction.
        if _committed(found, transaction):
            return self._holding(table, found, transaction), True
        found.create_write_transaction([action], "append", found.schema(), commit_properties=properties)
        return self._holding(table, found, transaction), False

    def _create(self, table: str, schema: Schema) -> None:
        """Write version 0, the empty table, unless another writer has.

        deltalake's own creation, when it loses a race, commits a second creation on top: here the conditional put decides.
        """
        metadata = {
            "id": str(uuid5(NAMESPACE_URL, f"{self._root}/{table}")),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_json(),
            "partitionColumns": [],
            "configuration": _CONFIGURATION,
            "createdTime": int(utc_now().timestamp() * 1000),
        }
        info = {"timestamp": metadata["createdTime"], "operation": "CREATE TABLE", "operationParameters": {}}
        protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
        lines = [{"commitInfo": info}, {"protocol": protocol}, {"metaData": metadata}]
        content = "\n".join(json.dumps(line) for line in lines).encode()
        with suppress(Conflict):
            self._files.put(f"{table}/_delta_log/{0:020d}.json", content, content_type="application/json", if_absent=True)

    def _widen(self, table: str, found: DeltaTable, schema: Schema) -> None:
        """Add the columns that the project has gained; a changed type is refused, since old files keep the old one."""
        present = {field.name: _type(field) for field in found.schema().fields}
        for field in schema.fields:
            stored = present.get(field.name, _type(field))
            if stored != _type(field):
                reason = f"column {field.name!r} is stored as {stored}, the project now says {_type(field)}"
                raise DataRejected(f"table {table}: {reason}; give the column a new name")
        missing = [field for field in schema.fields if field.name not in present]
        if missing:
            found.alter.add_columns(missing)
            found.update_incremental()


def _type(field: Field) -> str:
    return field.type.type if isinstance(field.type, PrimitiveType) else str(field.type)


def _committed(found: DeltaTable, transaction: str) -> bool:
    return found.transaction_version(transaction) is not None


def _note(entries: list[dict[str, Any]]) -> dict[str, Any]:
    info: dict[str, Any] = next((entry["commitInfo"] for entry in entries if "commitInfo" in entry), {})
    time = datetime.fromtimestamp(info.get("timestamp", 0) / 1000, tz=UTC)
    return {"time": time, **json.loads(info.get("userMetadata") or "{}")}


def folder_tables(folder: Path) -> DeltaTables:
    """Tables in a local folder, for laptops and tests."""
    return DeltaTables(str(folder), files=FolderStore(folder))


def s3_tables(bucket: str, files: ObjectStore, environ: Mapping[str, str] | None = None) -> DeltaTables:
    """Tables in an S3 bucket; the endpoint comes from ``AWS_ENDPOINT_URL`` as everywhere else."""
    source = os.environ if environ is None else environ
    options = {"AWS_CONDITIONAL_PUT": "etag", "max_retries": "4", "retry_timeout": "30s"}
    endpoint = source.get("AWS_ENDPOINT_URL_S3") or source.get("AWS_ENDPOINT_URL")
    if endpoint:
        options |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
    return DeltaTables(f"s3://{bucket}", files=files, storage_options=options)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise Conflict(f"{what}: {error}") from error
    except SchemaMismatchError as error:
        raise DataRejected(f"{what}: {error}") from error
    except DeltaProtocolError as error:
        raise IntegrityError(f"{what}: {error}") from error
    except TableNotFoundError as error:
        raise NotFound(f"{what}: {error}") from error
    except DeltaError as error:
        raise StoreUnavailable(f"{what}: {error}") from error
    except OSError as error:
        denied = "403" in str(error) or "Forbidden" in str(error) or isinstance(error, PermissionError)
        raise (AccessDenied if denied else StoreUnavailable)(f"{what}: {error}") from error
