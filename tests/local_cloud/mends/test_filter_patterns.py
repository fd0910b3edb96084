"""Filter patterns: the supported kinds match as AWS documents them, and any other kind is rejected by name."""

from __future__ import annotations

import json

import pytest

from local_cloud.mends.delivery.filter_patterns import UnsupportedFilterPattern, compile_pattern
from local_cloud.mends.delivery.log_subscriptions import predicate

EVENT = json.dumps({"kind": "prediction", "n": 3, "text": "two words"})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("prediction", True),
        ("Prediction", False),
        ('"two words"', True),
        ('"words two"', False),
        ('{ $.kind = "prediction" }', True),
        ('{$.kind="prediction"}', True),
        ('{ $.kind = "pred" }', False),
        ('{ $.missing = "prediction" }', False),
        ('{ $.n = "3" }', False),
    ],
)
def test_supported_patterns(pattern: str, matches: bool) -> None:
    """CloudWatch Logs documentation: "Filter pattern syntax"."""
    assert compile_pattern(pattern)(EVENT) is matches


@pytest.mark.parametrize("message", ["plain", "[1]", "{broken", "", ' "kind"'])
def test_a_json_pattern_matches_only_json_objects(message: str) -> None:
    assert not compile_pattern('{ $.kind = "prediction" }')(message)


@pytest.mark.parametrize(
    ("pattern", "feature"),
    [
        ("[ip, user]", "space-delimited patterns"),
        ("%predict[a-z]+%", "regular expressions"),
        ("?either ?or", "optional terms"),
        ("error -warning", "excluded terms"),
        ('prediction "two words"', "several terms"),
        ("a.b", "terms with other characters"),
        ('"a \\" b"', "escapes"),
        ('{ $.kind = "a" && $.n = "b" }', "compound expressions"),
        ('{ ($.kind = "a") || ($.n = "b") }', "compound expressions"),
        ("{ $.kind IS NULL }", "IS and NOT EXISTS"),
        ("{ $.kind NOT EXISTS }", "IS and NOT EXISTS"),
        ('{ $.kind != "a" }', "comparisons other than ="),
        ("{ $.n >= 3 }", "comparisons other than ="),
        ("{ $.kind = %^pred% }", "regular expressions"),
        ('{ $.list[0] = "a" }', "array and bracket selectors"),
        ('{ $.deep.kind = "a" }', "nested properties"),
        ("{ $.n = 3 }", "numbers"),
        ("{ $.kind = prediction }", "values without quotation marks"),
        ('{ $.kind = "pred*" }', "wildcards"),
        ("{ $.kind = }", "malformed patterns"),
        ("{ $.kind", "malformed patterns"),
    ],
)
def test_an_unsupported_pattern_is_rejected_by_name(pattern: str, feature: str) -> None:
    with pytest.raises(UnsupportedFilterPattern) as raised:
        compile_pattern(pattern)
    assert f"does not support {feature}" in str(raised.value)
    assert repr(pattern) in str(raised.value)
    assert 'supported are: ""; a term; "a phrase"; { $.property = "value" }' in str(raised.value)


def test_a_stored_pattern_that_is_no_longer_supported_delivers_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A filter that an earlier release stored must not break the log calls of its group."""
    matches = predicate("{ $.n > 1 }")
    assert not matches('{"n": 2}')
    assert "a subscription filter delivers nothing: the embedded cloud does not support comparisons" in caplog.text
