"""Run Lambda functions as real processes under AWS's own runtime client.

MiniStack runs Python functions through its own script over stdin, which loses error types, log lines and limits. Here
every execution environment is a process of ``awslambdaric`` that polls a Runtime API, as in Lambda. ``packages`` unpacks
code and layers, ``environment`` composes the environment variables, ``sandbox`` is one execution environment with its
``runtime_api`` and ``output``, ``pool`` reuses warm ones, ``watchdog`` enforces the memory limit, ``report`` writes the
log lines, and ``execute`` replaces MiniStack's invocation.
"""
