"""Functions as real processes under AWS's own runtime client.

MiniStack runs Python functions through a script of its own over stdin, which loses error types, log lines and limits.
Here every execution environment is a process under ``awslambdaric`` that talks to a Runtime API, exactly as in Lambda:
``packages`` lays out code and layers on disk, ``sandbox`` is one execution environment, ``pool`` reuses warm ones,
``watchdog`` enforces memory, ``report`` writes the log lines, and ``execute`` puts it all in MiniStack's place.
"""
