"""Resolve the intrinsic functions of a CloudFormation template from what is known about the deployed stack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


class _Unknown:
    """A value that is known only after deployment; every deployed value is equal to it."""

    def __repr__(self) -> str:
        return "<known after deployment>"


UNKNOWN = _Unknown()


class Resolver:
    """Resolve intrinsic functions with the values of one deployed stack.

    Parameters
    ----------
    values : mapping of str to str
        Physical ids by logical id, parameters and pseudo parameters.
    exports : mapping of str to str
        Exported values by export name.
    """

    def __init__(self, values: Mapping[str, str], exports: Mapping[str, str]) -> None:
        self._values = values
        self._exports = exports

    def resolve(self, value: Any) -> Any:
        """Return the value with each intrinsic function replaced by its result or by ``UNKNOWN``."""
        if isinstance(value, list):
            return [self.resolve(each) for each in value if each != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref":
                return self._values.get(argument, UNKNOWN)
            if name.startswith("Fn::"):
                return self._function(name, argument)
        return {name: self.resolve(each) for name, each in value.items() if each != {"Ref": "AWS::NoValue"}}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Fn::ImportValue":
            return self._exports.get(self.resolve(argument), UNKNOWN)
        if name == "Fn::Join":
            parts = self.resolve(argument[1])
            return UNKNOWN if UNKNOWN in parts else argument[0].join(map(str, parts))
        if name == "Fn::Split":
            text = self.resolve(argument[1])
            return text.split(argument[0]) if isinstance(text, str) else UNKNOWN
        if name == "Fn::Select":
            choices = self.resolve(argument[1])
            return choices[int(argument[0])] if isinstance(choices, list) else UNKNOWN
        if name == "Fn::Sub":
            return self._substitute(argument)
        return UNKNOWN

    def _substitute(self, argument: Any) -> Any:
        text, extra = argument if isinstance(argument, list) else (argument, {})
        known = {**self._values, **{name: self.resolve(each) for name, each in extra.items()}}
        names = re.findall(r"\$\{([^!}]+)\}", text)
        if any(known.get(name, UNKNOWN) is UNKNOWN for name in names):
            return UNKNOWN
        return re.sub(r"\$\{([^!}]+)\}", lambda match: str(known[match[1]]), text)


def with_substitutions(properties: dict[str, Any]) -> dict[str, Any]:
    """Return a state machine's properties with ``DefinitionSubstitutions`` applied to ``DefinitionString``."""
    remaining = dict(properties)
    definition = remaining.pop("DefinitionString")
    for name, value in remaining.pop("DefinitionSubstitutions").items():
        definition = UNKNOWN if UNKNOWN in (value, definition) else definition.replace(f"${{{name}}}", value)
    return {**remaining, "DefinitionString": definition}
