"""The registry's table in DynamoDB: keys ``pk`` and ``sk`` (text), consistent reads, conditional transactions.

Every write is a TransactWriteItems, whose token botocore keeps over its own retries: a response lost on the network cannot make
a write happen twice. A transaction that was cancelled by a condition or by another transaction is a Conflict, after which the
registry reads again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from driftless.adapters.aws import error_code, translate, translated
from driftless.adapters.items import Absent, Attributes, Unchanged, Write, check_size
from driftless.adapters.registry import TableRegistry
from driftless.core.clock import utc_now
from driftless.core.layout.tables import REGISTRY_PARTITION, REGISTRY_SORT
from driftless.errors import BadRequest, Conflict, DriftlessError, Throttled

_LOST = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_SLOW = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})


class DynamoItems:
    """One DynamoDB table as :class:`~driftless.adapters.items.Items`.

    Parameters
    ----------
    table : str
        Its name.
    client : DynamoDB client
        A boto3 client, normally ``driftless.adapters.aws.client("dynamodb")``.
    """

    def __init__(self, table: str, *, client: Any) -> None:
        self.table = table
        self._client = client

    def get(self, partition: str, sort: str) -> Attributes | None:
        with translated(f"read {partition} {sort} from table {self.table}"):
            response = self._client.get_item(TableName=self.table, Key=_key(partition, sort), ConsistentRead=True)
        return _decoded(response["Item"]) if "Item" in response else None

    def query(self, partition: str, *, prefix: str = "", newest_first: bool = False) -> Iterator[Attributes]:
        condition, values = f"{REGISTRY_PARTITION} = :p", {":p": {"S": partition}}
        if prefix:
            condition, values = f"{REGISTRY_PARTITION} = :p AND begins_with({REGISTRY_SORT}, :s)", {**values, ":s": {"S": prefix}}
        start: dict[str, Any] = {}
        while True:
            with translated(f"query {partition} of table {self.table}"):
                page = self._client.query(
                    TableName=self.table,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=not newest_first,
                    ConsistentRead=True,
                    **start,
                )
            yield from map(_decoded, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            check_size(write)
        what = f"write {', '.join(f'{write.partition} {write.sort[:80]}' for write in writes)} to table {self.table}"
        with translated(what):
            try:
                self._client.transact_write_items(TransactItems=[self._operation(write) for write in writes])
            except ClientError as error:
                raise _cancelled(error, what) from error

    def _operation(self, write: Write) -> dict[str, Any]:
        item = {**_key(write.partition, write.sort), **{name: _encoded(value) for name, value in write.attributes.items()}}
        return {"Put": {"TableName": self.table, "Item": item, **_condition(write.condition)}}


class DynamoRegistry(TableRegistry):
    """The Registry port on one DynamoDB table.

    Parameters
    ----------
    table : str
        Its name; keys ``pk`` and ``sk``, both text.
    client : DynamoDB client
        A boto3 client, normally ``driftless.adapters.aws.client("dynamodb")``.
    clock, pause : callable, optional
        As of :class:`~driftless.adapters.registry.TableRegistry`.
    """

    def __init__(
        self,
        table: str,
        *,
        client: Any,
        clock: Callable[[], datetime] = utc_now,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(DynamoItems(table, client=client), clock=clock, pause=pause)


def _key(partition: str, sort: str) -> dict[str, dict[str, str]]:
    return {REGISTRY_PARTITION: {"S": partition}, REGISTRY_SORT: {"S": sort}}


def _encoded(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _decoded(item: dict[str, dict[str, str]]) -> Attributes:
    """Attributes without the keys; numbers are integers, because only integers are written."""
    keys = (REGISTRY_PARTITION, REGISTRY_SORT)
    return {name: int(value["N"]) if "N" in value else value["S"] for name, value in item.items() if name not in keys}


def _condition(condition: Absent | Unchanged | None) -> dict[str, Any]:
    if isinstance(condition, Absent):
        return {"ConditionExpression": f"attribute_not_exists({REGISTRY_PARTITION})"}
    if isinstance(condition, Unchanged):
        return {
            "ConditionExpression": "#a = :v",
            "ExpressionAttributeNames": {"#a": condition.attribute},
            "ExpressionAttributeValues": {":v": _encoded(condition.value)},
        }
    return {}


def _cancelled(error: ClientError, what: str) -> DriftlessError:
    """The error of a refused transaction: a lost race, throttling, or a bad request."""
    code = error_code(error)
    if code == "TransactionInProgressException":
        return Conflict(f"{what}: {code}")
    if code != "TransactionCanceledException":
        return translate(error, what)
    reasons = error.response.get("CancellationReasons", [])
    codes = {str(reason.get("Code", "None")) for reason in reasons} - {"None"}
    message = f"{what}: {', '.join(sorted(codes))}"
    if codes and codes <= _LOST | _SLOW:
        return Throttled(message) if codes & _SLOW else Conflict(message)
    return BadRequest(f"{message}: {'; '.join(str(reason.get('Message')) for reason in reasons if reason.get('Message'))}")
