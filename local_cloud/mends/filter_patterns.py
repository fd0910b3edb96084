"""CloudWatch Logs filter patterns: which log events a subscription filter or a search lets through.

The grammar is the one of the AWS documentation page "Filter pattern syntax for metric filters, subscription filters,
filter log events, and Live Tail": terms (``ERROR``, ``"two words"``, ``?either ?or``, ``-without``, ``%regex%``) and
JSON expressions (``{ $.kind = "prediction" && $.latency > 20 }``). A space-delimited pattern (``[ip, user, ...]``) is
legal in AWS and not emulated; it is refused with a clear error, not ignored.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

Predicate = Callable[[str], bool]
_JsonPredicate = Callable[[Any], bool]
_MISSING = object()


class InvalidFilterPattern(ValueError):
    """The text is not a filter pattern, or is of a kind that is not emulated."""


@functools.lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Predicate:
    """Turn a filter pattern into a predicate over log messages.

    Parameters
    ----------
    pattern : str
        The pattern as given to PutSubscriptionFilter. An empty pattern matches every event.

    Raises
    ------
    InvalidFilterPattern
        When the pattern is malformed or space-delimited.
    """
    text = pattern.strip()
    if not text:
        return lambda message: True
    if text.startswith("["):
        raise InvalidFilterPattern("Space-delimited filter patterns are not emulated: " + pattern)
    if text.startswith("{"):
        return _compile_json(text)
    return _compile_terms(text)


_TERM = re.compile(r'\s*(?P<sign>[?-]?)(?:"(?P<quoted>(?:\\.|[^"\\])*)"|%(?P<regex>[^%]+)%|(?P<bare>[^\s"]+))')


def _compile_terms(text: str) -> Predicate:
    wanted: list[Predicate] = []
    either: list[Predicate] = []
    unwanted: list[Predicate] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise InvalidFilterPattern("Invalid filter pattern: " + text)
        position = match.end()
        {"": wanted, "?": either, "-": unwanted}[match["sign"]].append(_term(match))
    # AWS ignores optional terms as soon as one required term is present.
    alternatives = [] if wanted else either

    def matches(message: str) -> bool:
        return (
            all(term(message) for term in wanted)
            and not any(term(message) for term in unwanted)
            and (not alternatives or any(term(message) for term in alternatives))
        )

    return matches


def _term(match: re.Match[str]) -> Predicate:
    if match["regex"] is not None:
        try:
            expression = re.compile(match["regex"])
        except re.error as error:
            raise InvalidFilterPattern(f"Invalid regular expression in filter pattern: {error}") from error
        return lambda message: expression.search(message) is not None
    needle = match["bare"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
    return lambda message: needle in message


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<punct>&&|\|\||[(){}])
      | (?P<selector>\$(?:\.[A-Za-z0-9_@\-:]+|\[\d+\]|\[\*\]|\.?\[\s*['"][^'"]+['"]\s*\])+|\$)
      | (?P<operator>!=|>=|<=|=|>|<)
      | "(?P<quoted>(?:\\.|[^"\\])*)"
      | %(?P<regex>[^%]+)%
      | (?P<bare>[^\s(){}=!<>&|"%]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"\.([A-Za-z0-9_@\-:]+)|\[(\d+)\]|\[(\*)\]|\.?\[\s*['\"]([^'\"]+)['\"]\s*\]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
}


def _compile_json(text: str) -> Predicate:
    parser = _JsonPatternParser(text)
    predicate = parser.parse()

    def matches(message: str) -> bool:
        # Most lines of a function's log are not JSON objects; do not pay for the exception.
        start = message.lstrip()[:1]
        if start != "{":
            return False
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return predicate(document)

    return matches


class _JsonPatternParser:
    """Recursive descent over ``{ expression }``: OR of ANDs of comparisons and parenthesised expressions."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise self._error()
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        self._next = 0

    def _error(self) -> InvalidFilterPattern:
        return InvalidFilterPattern("Invalid filter pattern: " + self._text)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _expect(self, punctuation: str) -> None:
        if self._take() != ("punct", punctuation):
            raise self._error()

    def parse(self) -> _JsonPredicate:
        self._expect("{")
        predicate = self._either()
        self._expect("}")
        if self._peek()[0] != "end":
            raise self._error()
        return predicate

    def _either(self) -> _JsonPredicate:
        options = [self._both()]
        while self._peek() == ("punct", "||"):
            self._take()
            options.append(self._both())
        return lambda document: any(option(document) for option in options)

    def _both(self) -> _JsonPredicate:
        parts = [self._one()]
        while self._peek() == ("punct", "&&"):
            self._take()
            parts.append(self._one())
        return lambda document: all(part(document) for part in parts)

    def _one(self) -> _JsonPredicate:
        if self._peek() == ("punct", "("):
            self._take()
            predicate = self._either()
            self._expect(")")
            return predicate
        kind, selector = self._take()
        if kind != "selector":
            raise self._error()
        steps = _steps(selector)
        kind, operator = self._take()
        if kind == "bare" and operator.upper() in ("IS", "NOT"):
            return self._is_or_not(steps, operator.upper())
        if kind != "operator":
            raise self._error()
        return self._comparison(steps, operator)

    def _is_or_not(self, steps: list[str | int], word: str) -> _JsonPredicate:
        kind, value = self._take()
        wanted = value.upper() if kind == "bare" else ""
        if word == "NOT" and wanted == "EXISTS":
            return lambda document: _select(document, steps) is _MISSING
        constants: dict[str, Any] = {"TRUE": True, "FALSE": False, "NULL": None}
        if word == "IS" and wanted in constants:
            constant = constants[wanted]
            return lambda document: _select(document, steps) is constant
        raise self._error()

    def _comparison(self, steps: list[str | int], operator: str) -> _JsonPredicate:
        kind, value = self._take()
        compare = _COMPARE[operator]
        if kind == "bare" and _NUMBER.match(value):
            number = float(value)

            def matches_number(document: Any) -> bool:
                found = _select(document, steps)
                return isinstance(found, (int, float)) and not isinstance(found, bool) and compare(found, number)

            return matches_number
        if operator not in ("=", "!=") or kind not in ("bare", "quoted", "regex"):
            raise self._error()
        expression = _string_matcher(kind, value)
        wanted = operator == "="

        def matches_string(document: Any) -> bool:
            found = _select(document, steps)
            return isinstance(found, str) and (expression(found) is not None) is wanted

        return matches_string


def _string_matcher(kind: str, value: str) -> Callable[[str], re.Match[str] | None]:
    """A matcher for a literal with ``*`` wildcards, or for a ``%regex%``."""
    if kind == "regex":
        try:
            return re.compile(value).search
        except re.error as error:
            raise InvalidFilterPattern(f"Invalid regular expression in filter pattern: {error}") from error
    literal = re.sub(r"\\(.)", r"\1", value) if kind == "quoted" else value
    return re.compile(".*".join(re.escape(part) for part in literal.split("*")), re.DOTALL).fullmatch


def _steps(selector: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index, star, bracketed in _STEP.findall(selector[1:]):
        if star:
            raise InvalidFilterPattern("Wildcard array selectors are not emulated: " + selector)
        steps.append(int(index) if index else name or bracketed)
    return steps


def _select(document: Any, steps: list[str | int]) -> Any:
    found = document
    for step in steps:
        if isinstance(step, int):
            if not isinstance(found, list) or step >= len(found):
                return _MISSING
            found = found[step]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return _MISSING
    return found
