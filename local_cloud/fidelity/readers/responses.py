"""Convert the responses of Describe and Get calls into the form that templates use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Properties = dict[str, Any]
Clients = Callable[[str], Any]
Reader = Callable[[Clients, str, Properties], Properties]
"""Called with clients by service name, the physical id, and the template's resolved properties."""

_NOT_CONFIGURED = ("NoSuch", "ServerSideEncryptionConfigurationNotFound", "ResourceNotFound")


def read(call: Callable[..., Properties], **arguments: Any) -> Properties:
    """Return a call's response; empty when the service says that the configuration does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"].startswith(_NOT_CONFIGURED):
            return {}
        raise


def capitalised(value: Any) -> Any:
    """Return the value with its keys as templates write them; keys that are data (``application/json``) stay."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:] if name.isalpha() else name: capitalised(each) for name, each in value.items()}
    if isinstance(value, list):
        return [capitalised(each) for each in value]
    return value


def document(text: Any) -> Any:
    """Return the JSON document in a string; any other value unchanged."""
    return json.loads(text) if isinstance(text, str) and text else text


def dictionary(value: Any) -> Properties:
    """Return the value if it is a dictionary, and an empty one otherwise."""
    return value if isinstance(value, dict) else {}
