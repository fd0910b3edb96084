"""DynamoDB: acknowledged writes survive, at the cost of one small append each.

A write that succeeded is journalled as it came (who, where, which operation, the request's body) before its answer is
sent. DynamoDB's writes are functions of the tables and the request alone, so replaying them in order on the last
snapshot gives the same tables. Requests are handled one at a time on the server's loop, which makes "in order" mean
something. Whatever changes a table itself, or writes to a table the snapshot does not know, takes a new snapshot. So does
what follows a change that is not in the journal (items whose time to live ended, a write that could not be written down):
until that snapshot is on disk, no further write is accepted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.journal import Journal
from local_cloud.durability.snapshots import Snapshots
from local_cloud.durability.state_files import UnusableState

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
_REAPER = "dynamodb-ttl-reaper"
_JOURNAL_LIMIT = 64 * 1024 * 1024  # bytes before a new snapshot takes the journal's place


class Tables:
    """Journal and snapshot of DynamoDB.

    Parameters
    ----------
    folder : Path
        Where the journal lies.
    snapshots : Snapshots
        Writes the state files.
    """

    def __init__(self, folder: Path, snapshots: Snapshots) -> None:
        self._journal = Journal(folder)
        self._snapshots = snapshots
        self._service = emulator.module("services.dynamodb")
        self._responses = emulator.module("core.responses")
        self._handle = emulator.original(self._service, "handle_request")
        self._get_state = emulator.original(self._service, "get_state")
        self._remove_item = emulator.original(self._service, "_remove_item")
        self._known: set[str] = set()
        self._first = 0
        self._aside = self._contained = object()  # the last change that is in no journal, and the last one on disk
        self._copied = (self._first, self._known, self._aside)

    def install(self) -> None:
        """Take the place of the service's request handler, and of the state it saves."""
        emulator.replace(self._service, "_remove_item", self.remove_item)
        emulator.replace(self._service, "handle_request", self.handle)
        emulator.replace(self._service, "get_state", self.state)
        load = emulator.original(self._service, "load_persisted_state")

        def restore(data: dict[str, Any]) -> None:
            self._first = int(data.get("journal", 0))
            load(data)

        emulator.replace(self._service, "load_persisted_state", restore)
        self._snapshots.when_saved("dynamodb", self._saved)

    def replay(self) -> int:
        """Apply what the snapshot lacks, take a new one, and return how many writes there were.

        Raises
        ------
        UnusableState
            If a write that was acknowledged is not accepted again.
        """
        count = 0
        account, region = self._responses.get_account_id(), self._responses.get_region()
        for record in self._journal.read(self._first):
            head, _, body = record.partition(b"\n")
            entry = json.loads(head)
            self._responses.set_request_account_id(entry["account"])
            self._responses.set_request_region(entry["region"])
            headers = {"x-amz-target": f"DynamoDB_20120810.{entry['operation']}"}
            status, _, answer = _finish(self._handle("POST", "/", headers, body, {}))
            if status >= 300:
                what = f"write {count + 1} since the last snapshot, {entry['operation']}, is not accepted again: {answer!r}"
                raise UnusableState(self._journal.folder, what)
            count += 1
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        self._snapshots.save("dynamodb")
        return count

    async def handle(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        """Serve a request, and return only when what it changed will survive."""
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation.startswith(_READS):
            return await self._handle(method, path, headers, body, query)
        if self._contained is not self._aside:
            self._snapshots.save("dynamodb")
        response = await self._handle(method, path, headers, body, query)
        if response[0] < 300:
            try:
                self._keep(operation, body)
            except Exception:
                self._aside = object()
                raise
        return response

    def _keep(self, operation: str, body: bytes) -> None:
        """Write down what was just done, in the journal or as a new snapshot."""
        continues = self._contained is self._aside and self._tables() <= self._known
        if operation in _ITEM_WRITES and continues and self._journal.size < _JOURNAL_LIMIT:
            account, region = self._responses.get_account_id(), self._responses.get_region()
            entry = {"account": account, "region": region, "operation": operation}
            self._journal.append(json.dumps(entry).encode() + b"\n" + body)
        else:
            self._snapshots.save("dynamodb")

    def remove_item(self, *item: Any) -> Any:
        """Remove an item; one whose time has come leaves without a request that could be repeated."""
        if threading.current_thread().name == _REAPER:
            self._aside = object()
        return self._remove_item(*item)

    def state(self) -> dict[str, Any]:
        """Return the service's state together with the number of the journal file that continues it."""
        aside, first = self._aside, self._journal.rotate()
        self._copied = (first, self._tables(), aside)
        return {**self._get_state(), "journal": first}

    def _saved(self) -> None:
        """What was copied last is on disk."""
        self._first, self._known, self._contained = self._copied
        self._journal.forget(self._first)

    def _tables(self) -> set[str]:
        return {table["TableId"] for table in self._service._tables.all_values()}


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a handler that never waits for anything, and return its answer."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("MiniStack's DynamoDB handler waits for something; it cannot be replayed")
