"""DynamoDB: acknowledged writes survive, at the cost of one small append each.

A write that succeeded is journalled as it came (who, where, which operation, the request's body) before its answer is
sent. DynamoDB's writes are functions of the tables and the request alone, so replaying them in order on the last
snapshot gives the same tables. Requests are handled one at a time on the server's loop, which makes "in order" mean
something. Whatever changes a table itself, or writes to a table the snapshot does not know, takes a new snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.journal import Journal
from local_cloud.durability.snapshots import Snapshots

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
        self._known: set[str] = set()
        self._first = 0

    def install(self) -> None:
        """Take the place of the service's request handler, and of the state it saves."""
        emulator.replace(self._service, "handle_request", self.handle)
        emulator.replace(self._service, "get_state", self.state)
        load = emulator.original(self._service, "load_persisted_state")

        def restore(data: dict[str, Any]) -> None:
            self._first = int(data.get("journal", 0))
            load(data)

        emulator.replace(self._service, "load_persisted_state", restore)
        self._snapshots.when_saved("dynamodb", lambda: self._journal.forget(self._first))

    def replay(self) -> int:
        """Apply what the snapshot lacks, take a new one, and return how many writes there were."""
        count = 0
        account, region = self._responses.get_account_id(), self._responses.get_region()
        for record in self._journal.read(self._first):
            head, _, body = record.partition(b"\n")
            entry = json.loads(head)
            self._responses.set_request_account_id(entry["account"])
            self._responses.set_request_region(entry["region"])
            _finish(self._handle("POST", "/", {"x-amz-target": f"DynamoDB_20120810.{entry['operation']}"}, body, {}))
            count += 1
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        self._snapshots.save("dynamodb")
        return count

    async def handle(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        """Serve a request, and return only when what it changed will survive."""
        response = await self._handle(method, path, headers, body, query)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if response[0] >= 300 or operation.startswith(_READS):
            return response
        if operation in _ITEM_WRITES and self._tables() <= self._known and self._journal.size < _JOURNAL_LIMIT:
            account, region = self._responses.get_account_id(), self._responses.get_region()
            entry = {"account": account, "region": region, "operation": operation}
            self._journal.append(json.dumps(entry).encode() + b"\n" + body)
        else:
            self._snapshots.save("dynamodb")
        return response

    def state(self) -> dict[str, Any]:
        """Return the service's state together with the number of the journal file that continues it."""
        self._first = self._journal.rotate()
        self._known = self._tables()
        return {**self._get_state(), "journal": self._first}

    def _tables(self) -> set[str]:
        return {table["TableId"] for table in self._service._tables.all_values()}


def _finish(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a handler that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("MiniStack's DynamoDB handler waits for something; it cannot be replayed")
