"""A command that ends with whoever started it, in whatever way that one ends.

``python leash.py STARTER_PID COMMAND…`` runs the command as the leader of a process group of its own. When the starter dies, by
SIGKILL too, the kernel tells this process, and the whole group goes: a CDK command line whose person closed the terminal
must not go on deploying beside the next one. It is run by path and imports nothing of this project.
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
    """Run the command to its end; its exit code."""
    starter, command = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setpgrp()
    signal.signal(signal.SIGTERM, _end_all)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != starter:  # it died before the kernel knew that we care
        return 1
    code = subprocess.run(command, check=False).returncode
    return 128 - code if code < 0 else code


def _end_all(number: int, frame: Any) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
