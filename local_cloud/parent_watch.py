"""Run a command that ends when its parent process ends, even if the parent is killed.

``python parent_watch.py PARENT_PID COMMAND…`` runs the command as the leader of a process group. When the parent dies,
the kernel sends this process SIGTERM (``PR_SET_PDEATHSIG``) and it kills the whole group. So a CDK command line whose
terminal was closed does not continue beside the next deployment. This file is run by path and imports nothing of the
project.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command and return its exit code, or 128 plus the number of the signal that ended it."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setpgrp()
    signal.signal(signal.SIGTERM, _kill_group)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before the prctl call
        return 1
    code = subprocess.run(command, check=False).returncode
    return 128 - code if code < 0 else code


def _kill_group(number: int, frame: Any) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
