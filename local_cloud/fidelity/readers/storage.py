"""Readers for S3 buckets, DynamoDB tables and SSM parameters."""

from __future__ import annotations

from local_cloud.fidelity.readers.responses import Clients, Properties, Reader, document, read


def bucket(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a bucket's configuration."""
    s3 = clients("s3")
    rules = []
    for rule in read(s3.get_bucket_lifecycle_configuration, Bucket=name).get("Rules", []):
        found = {"Id": rule.get("ID"), "Status": rule["Status"], "Prefix": (rule.get("Filter") or {}).get("Prefix")}
        found["ExpirationInDays"] = (rule.get("Expiration") or {}).get("Days")
        found |= {key: rule[key] for key in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload") if key in rule}
        rules.append(found)
    encryption = read(s3.get_bucket_encryption, Bucket=name).get("ServerSideEncryptionConfiguration", {})
    described = [
        {
            "ServerSideEncryptionByDefault": rule.get("ApplyServerSideEncryptionByDefault"),
            "BucketKeyEnabled": rule.get("BucketKeyEnabled"),
        }
        for rule in encryption.get("Rules", [])
    ]
    notification = read(s3.get_bucket_notification_configuration, Bucket=name)
    access_logs = read(s3.get_bucket_logging, Bucket=name).get("LoggingEnabled", {})
    block = read(s3.get_public_access_block, Bucket=name).get("PublicAccessBlockConfiguration")
    return {
        "BucketName": name,
        "LifecycleConfiguration": {"Rules": rules},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": described},
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {"EventBridgeEnabled": "EventBridgeConfiguration" in notification}
        },
        "LoggingConfiguration": {
            "DestinationBucketName": access_logs.get("TargetBucket"),
            "LogFilePrefix": access_logs.get("TargetPrefix"),
        },
        "PublicAccessBlockConfiguration": block,
        "VersioningConfiguration": {"Status": s3.get_bucket_versioning(Bucket=name).get("Status")},
    }


def bucket_policy(clients: Clients, _: str, properties: Properties) -> Properties:
    """Read a bucket's policy."""
    policy = read(clients("s3").get_bucket_policy, Bucket=properties["Bucket"]).get("Policy")
    return {"Bucket": properties["Bucket"], "PolicyDocument": document(policy)}


def table(clients: Clients, name: str, _: Properties) -> Properties:
    """Read a table's keys, encryption, backups and time to live."""
    dynamodb = clients("dynamodb")
    described = dynamodb.describe_table(TableName=name)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return {
        "TableName": name,
        "AttributeDefinitions": described["AttributeDefinitions"],
        "KeySchema": described["KeySchema"],
        "BillingMode": described.get("BillingModeSummary", {}).get("BillingMode"),
        "DeletionProtectionEnabled": described.get("DeletionProtectionEnabled"),
        "SSESpecification": {"SSEEnabled": described.get("SSEDescription", {}).get("Status") == "ENABLED"},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery == "ENABLED"},
        "TimeToLiveSpecification": {
            "Enabled": expiry.get("TimeToLiveStatus") == "ENABLED",
            "AttributeName": expiry.get("AttributeName"),
        },
    }


def parameter(clients: Clients, name: str, _: Properties) -> Properties:
    """Read an SSM parameter."""
    return dict(clients("ssm").get_parameter(Name=name)["Parameter"])


READERS: dict[str, Reader] = {
    "AWS::DynamoDB::Table": table,
    "AWS::S3::Bucket": bucket,
    "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::SSM::Parameter": parameter,
}
