"""The embedded AWS: a pinned MiniStack on loopback, hardened until the platform cannot tell it from the cloud.

``lifecycle`` starts and stops it, ``deploy`` runs the real CDK CLI against it, ``clients`` opens boto3 sessions on it.
Inside the server process, ``runner`` executes functions as real processes, ``durability`` keeps acknowledged writes,
and ``mends`` restores the AWS behaviour that MiniStack lacks. The product code never imports this package.
"""
