"""Intrinsic functions are resolved with what is known about the deployed stack."""

from __future__ import annotations

from local_cloud.fidelity.template import UNKNOWN, Resolver, with_substitutions


def test_intrinsic_functions_are_resolved_and_the_others_are_unknown() -> None:
    resolver = Resolver({"A": "a", "AWS::Region": "r"}, {"exported": "e"})
    template = {
        "join": {"Fn::Join": ["/", [{"Ref": "A"}, "x"]]},
        "sub": {"Fn::Sub": "${A}-${AWS::Region}"},
        "import": {"Fn::ImportValue": "exported"},
        "select": {"Fn::Select": [1, {"Fn::Split": [":", "x:y"]}]},
        "late": {"Fn::Join": ["", ["arn:", {"Fn::GetAtt": ["B", "Arn"]}]]},
        "none": {"Ref": "AWS::NoValue"},
    }
    expected = {"join": "a/x", "sub": "a-r", "import": "e", "select": "y", "late": UNKNOWN}
    assert resolver.resolve(template) == expected


def test_definition_substitutions_are_applied() -> None:
    properties = {"DefinitionString": "${A}/${B}", "DefinitionSubstitutions": {"A": "a", "B": "b"}, "RoleArn": "role"}
    assert with_substitutions(properties) == {"DefinitionString": "a/b", "RoleArn": "role"}


def test_a_definition_with_an_unknown_substitution_is_unknown() -> None:
    properties = {"DefinitionString": "${A}/${B}", "DefinitionSubstitutions": {"A": UNKNOWN, "B": "b"}}
    assert with_substitutions(properties) == {"DefinitionString": UNKNOWN}
