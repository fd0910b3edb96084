"""Compare a template's value with the deployed value, allowing for the different spellings of the services."""

from __future__ import annotations

import json
import re
from typing import Any

from local_cloud.fidelity.template import UNKNOWN

Difference = tuple[str, str, Any, Any]


def differences(expected: Any, actual: Any, path: str) -> list[Difference]:
    """List where a deployed value differs from the template's value.

    Parameters
    ----------
    expected, actual : Any
        The template's value and the deployed one. The deployed value may have more members than the template.
    path : str
        The property path to report.

    Returns
    -------
    list of (path, kind, expected, actual)
        ``kind`` is ``missing`` or ``different``.
    """
    if actual is None:
        return [] if expected in ({}, [], None, "") else [(path, "missing", expected, None)]
    if expected is UNKNOWN:
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for name, each in expected.items():
            found += differences(each, actual.get(name), f"{path}.{name}")
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return _list_differences(expected, actual, path)
    if isinstance(expected, (dict, list)) != isinstance(actual, (dict, list)) and _parsed(actual) != actual:
        # Services return JSON documents as strings: compare the documents.
        return differences(expected, _parsed(actual), path)
    if isinstance(expected, str) and _parsed(expected) != expected and isinstance(actual, (dict, list)):
        return differences(_parsed(expected), actual, path)
    if _normalised(expected) == _normalised(actual):
        return []
    return [(path, "different", expected, actual)]


def _list_differences(expected: list[Any], actual: list[Any], path: str) -> list[Difference]:
    """Compare lists whose order may differ; an item without a match is compared with the item at its index."""
    unmatched = list(actual)
    found = []
    for index, each in enumerate(expected):
        match = next((other for other in unmatched if not differences(each, other, path)), None)
        if match is not None:
            unmatched.remove(match)
        else:
            found += differences(each, actual[index], f"{path}[{index}]")
    return found


def _parsed(value: Any) -> Any:
    """Return the JSON document in a string, and any other value unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _normalised(value: Any) -> Any:
    """Return one spelling for values that mean the same.

    A policy may write a list of one item or the item itself. Services return numbers and booleans as strings.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{float(value):g}"
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"{float(value):g}"
    return value
