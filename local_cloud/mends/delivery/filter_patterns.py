"""CloudWatch Logs filter patterns, as far as the platform uses them.

Supported are the empty pattern, which matches every event; one term or quoted phrase (``REPORT``, ``"two words"``);
and the equality of one top-level string property (``{ $.kind = "prediction" }``). AWS accepts more ("Filter pattern
syntax for metric filters, subscription filters, filter log events, and Live Tail"). Any other pattern is rejected with
an error that names what is not supported, so a filter never matches other events here than on AWS.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable

Predicate = Callable[[str], bool]

SUPPORTED = '""; a term; "a phrase"; { $.property = "value" }'

_TERM = re.compile(r'(?P<word>[A-Za-z0-9_]+)|"(?P<phrase>[^"\\]+)"')
_EQUALITY = re.compile(r'\{\s*\$\.(?P<name>[A-Za-z0-9_]+)\s*=\s*"(?P<value>[^"\\*]*)"\s*\}')
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')

#: What AWS accepts and this module does not, by how it looks in a pattern whose quoted strings are replaced by ``""``.
_JSON_FEATURES = (
    (r"&&|\|\|", "compound expressions (&&, ||)"),
    (r"\b(?:IS|NOT)\b", "IS and NOT EXISTS"),
    (r"!=|[<>]", "comparisons other than ="),
    (r"%", "regular expressions"),
    (r"\[", "array and bracket selectors"),
    (r"\$\.\w+\.", "nested properties"),
    (r"=\s*[-+.\d]", "numbers"),
    (r"=\s*[^\s\"}]", "values without quotation marks"),
    (r'=\s*""\s*\}\s*$', "wildcards (*) and escapes (\\)"),
)
_TERM_FEATURES = (
    (r"^\[", "space-delimited patterns"),
    (r"%", "regular expressions"),
    (r"(?:^|\s)\?", "optional terms (?)"),
    (r"(?:^|\s)-", "excluded terms (-)"),
    (r"\S\s+\S", "several terms"),
    (r'^""$', "escapes (\\) and empty phrases"),
    (r"", "terms with other characters than letters, digits and _ outside quotation marks"),
)


class UnsupportedFilterPattern(ValueError):
    """The pattern is not valid in AWS, or uses what this module does not support; the message says which."""


@functools.lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Predicate:
    """Return a function that tells whether a log message matches a filter pattern.

    Parameters
    ----------
    pattern : str
        The pattern as given to PutSubscriptionFilter or FilterLogEvents.

    Raises
    ------
    UnsupportedFilterPattern
        When the pattern is not one of the supported kinds.
    """
    text = pattern.strip()
    if not text:
        return lambda message: True
    term = _TERM.fullmatch(text)
    if term is not None:
        needle = term["word"] or term["phrase"]
        return lambda message: needle in message
    equality = _EQUALITY.fullmatch(text)
    if equality is not None:
        return _equality(equality["name"], equality["value"])
    raise UnsupportedFilterPattern(
        f"the embedded cloud does not support {_feature(text)}, which the filter pattern {pattern!r} uses; "
        f"supported are: {SUPPORTED}"
    )


def _equality(name: str, value: str) -> Predicate:
    def matches(message: str) -> bool:
        if not message.lstrip().startswith("{"):  # cheaper than the exception; most lines are not JSON objects
            return False
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return bool(document.get(name) == value)

    return matches


def _feature(text: str) -> str:
    """Name what is not supported in a pattern."""
    features = _JSON_FEATURES if text.startswith("{") else _TERM_FEATURES
    unquoted = _QUOTED.sub('""', text)
    return next((name for shape, name in features if re.search(shape, unquoted)), "malformed patterns")
