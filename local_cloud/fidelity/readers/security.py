"""Readers for IAM roles and policies, and for KMS keys."""

from __future__ import annotations

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, document, read


def role(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a role and its inline policies."""
    iam = clients("iam")
    found = dict(iam.get_role(RoleName=name)["Role"])
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    documents = {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names}
    found["Policies"] = [{"PolicyName": each, "PolicyDocument": policy} for each, policy in documents.items()]
    return found


def role_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read an inline policy of the template's first role."""
    name = properties["Roles"][0]
    response = read(clients("iam").get_role_policy, RoleName=name, PolicyName=properties["PolicyName"])
    return {
        "PolicyName": response.get("PolicyName"),
        "PolicyDocument": response.get("PolicyDocument"),
        "Roles": [response.get("RoleName")],
    }


def key(clients: Clients, key_id: str, _: Properties) -> Properties:
    """Read a key's metadata, rotation and policy."""
    kms = clients("kms")
    metadata = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    symmetric = metadata["KeySpec"] == "SYMMETRIC_DEFAULT"  # only these keys can rotate
    rotation = kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] if symmetric else False
    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    return {**metadata, "EnableKeyRotation": rotation, "KeyPolicy": document(policy)}


READERS: dict[str, Reader] = {
    "AWS::IAM::Policy": role_policy,
    "AWS::IAM::Role": role,
    "AWS::KMS::Key": key,
}
