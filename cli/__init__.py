"""What a person types: the ``driftless`` command, thin over boto3 and the library.

``platform`` finds a deployed stage through its SSM parameters, ``executions`` starts and follows state machines, ``signing``
calls the API with signed requests. Each command module is a few functions over those; ``demo`` tells the whole story in one run.
"""
