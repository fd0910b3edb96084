"""The entry point of a function's process, which runs before the function's code.

The interpreter starts without ``site``, so no package of the virtual environment can be imported. This script makes the
process end with the server, imports AWS's runtime client, and then sets the import path in Lambda's order: function code,
layers, the standard library, and last the runtime's own packages (boto3 and its requirements). It is run by path and
imports nothing of this project.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the runtime client: ``bootstrap.py SERVER_PID RUNTIME_DIR OPT_DIR``."""
    server_pid, runtime_dir, opt_dir = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server_pid:  # the server died before the prctl call
        os._exit(1)
    library = list(sys.path)
    sys.path.append(runtime_dir)
    from awslambdaric.__main__ import main as serve  # importable only now

    task_root = os.environ["LAMBDA_TASK_ROOT"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [f"{opt_dir}/python/lib/{version}/site-packages", f"{opt_dir}/python"]
    sys.path[:] = [task_root, *filter(os.path.isdir, layers), *library, runtime_dir]
    sys.argv = ["bootstrap.py", os.environ["_HANDLER"]]
    serve(sys.argv)


main()
