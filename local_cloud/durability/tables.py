"""DynamoDB: acknowledged writes survive a crash; each costs one small append.

The server appends each successful write request (account, region, operation and body) to a write-ahead log before it
sends the response. A DynamoDB write depends only on the tables and the request, so the server replays the requests in
order on the last snapshot and gets the same tables. Requests are handled one at a time on the server's loop, which
defines their order. A request that changes a table's definition, or that writes to a table the snapshot does not
contain, takes a new snapshot instead. Some changes are not in the log: expired items (time to live), and a write whose
append failed. After such a change the next write first takes a new snapshot.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.snapshots import Snapshots
from local_cloud.durability.state_files import UnusableState
from local_cloud.durability.write_ahead_log import LOG_NUMBER, WriteAheadLog

_ITEM_WRITES = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExecuteTransaction",
    }
)
_READS = ("Describe", "Get", "List", "Query", "Scan", "BatchGet", "TransactGet", "Search")
_TTL_THREAD = "dynamodb-ttl-reaper"  # MiniStack's name for it
_LOG_LIMIT = 64 * 1024 * 1024  # bytes in the log before a new snapshot replaces it


class Tables:
    """DynamoDB's write-ahead log and snapshot.

    Parameters
    ----------
    folder : Path
        The log's folder.
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, folder: Path, snapshots: Snapshots) -> None:
        self._log = WriteAheadLog(folder)
        self._snapshots = snapshots
        self._service = emulator.module("services.dynamodb")
        self._responses = emulator.module("core.responses")
        self._handle = emulator.original(self._service, "handle_request")
        self._get_state = emulator.original(self._service, "get_state")
        self._remove_item = emulator.original(self._service, "_remove_item")
        self._known: set[str] = set()
        self._first = 0
        # Markers of the last change that is not in the log, and of the last such change in a snapshot on disk.
        self._unlogged = self._contained = object()
        self._copied = (self._first, self._known, self._unlogged)

    def install(self) -> None:
        """Replace the service's request handler and the state that it saves."""
        emulator.replace(self._service, "_remove_item", self.remove_item)
        emulator.replace(self._service, "handle_request", self.handle)
        emulator.replace(self._service, "get_state", self.state)
        load = emulator.original(self._service, "load_persisted_state")

        def restore(data: dict[str, Any]) -> None:
            self._first = int(data.get(LOG_NUMBER, 0))
            load(data)

        emulator.replace(self._service, "load_persisted_state", restore)
        self._snapshots.when_saved("dynamodb", self._saved)

    def replay(self) -> int:
        """Replay the writes that the snapshot does not contain, take a new snapshot, and return their number.

        Raises
        ------
        UnusableState
            If the service rejects a write that it acknowledged before.
        """
        count = 0
        account, region = self._responses.get_account_id(), self._responses.get_region()
        for record in self._log.read(self._first):
            head, _, body = record.partition(b"\n")
            entry = json.loads(head)
            self._responses.set_request_account_id(entry["account"])
            self._responses.set_request_region(entry["region"])
            headers = {"x-amz-target": f"DynamoDB_20120810.{entry['operation']}"}
            status, _, response = _finish(self._handle("POST", "/", headers, body, {}))
            if status >= 300:
                what = f"write {count + 1} since the last snapshot, {entry['operation']}, was rejected on replay: {response!r}"
                raise UnusableState(self._log.folder, what)
            count += 1
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        self._snapshots.save("dynamodb")
        return count

    async def handle(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        """Serve a request; what it changed is on disk when this returns."""
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation.startswith(_READS):
            return await self._handle(method, path, headers, body, query)
        if self._contained is not self._unlogged:
            self._snapshots.save("dynamodb")
        response = await self._handle(method, path, headers, body, query)
        if response[0] < 300:
            try:
                self._keep(operation, body)
            except Exception:
                self._unlogged = object()
                raise
        return response

    def _keep(self, operation: str, body: bytes) -> None:
        """Append a finished request to the log, or take a new snapshot."""
        continues = self._contained is self._unlogged and self._tables() <= self._known
        if operation in _ITEM_WRITES and continues and self._log.size < _LOG_LIMIT:
            account, region = self._responses.get_account_id(), self._responses.get_region()
            entry = {"account": account, "region": region, "operation": operation}
            self._log.append(json.dumps(entry).encode() + b"\n" + body)
        else:
            self._snapshots.save("dynamodb")

    def remove_item(self, *item: Any) -> Any:
        """Remove an item; the removal of an expired one belongs to no request that could be replayed."""
        if threading.current_thread().name == _TTL_THREAD:
            self._unlogged = object()
        return self._remove_item(*item)

    def state(self) -> dict[str, Any]:
        """Return the service's state with the number of the log file that continues it."""
        unlogged, first = self._unlogged, self._log.rotate()
        self._copied = (first, self._tables(), unlogged)
        return {**self._get_state(), LOG_NUMBER: first}

    def _saved(self) -> None:
        """Remove the log files whose records the snapshot on disk contains."""
        self._first, self._known, self._contained = self._copied
        self._log.remove_before(self._first)

    def _tables(self) -> set[str]:
        return {table["TableId"] for table in self._service._tables.all_values()}


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a handler that never suspends and return its response."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("MiniStack's DynamoDB handler suspended; a suspended request cannot be replayed")
