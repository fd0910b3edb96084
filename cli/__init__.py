"""The ``driftless`` command line, a thin layer over boto3 and the library.

``main`` puts the commands together. ``commands`` has one module per subcommand; ``shared`` has what they
share: ``platform`` reads a deployed stage from its SSM parameters, ``executions`` starts and follows state
machines, ``signing`` sends signed requests to the API. ``demo`` runs the whole loop and may use both.
"""
