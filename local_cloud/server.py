"""The embedded cloud's server process: MiniStack's application with its replacements, on one loopback port.

Run as ``python -m local_cloud.server DIR PORT``. MiniStack reads its settings from the environment when it is imported,
so this module sets them all before the first import, independent of the caller's environment. It then checks the
release, installs the replacements and serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

from local_cloud import emulator, origin_check
from local_cloud.state import StateFolder

REGION = "us-east-1"
ACCOUNT = "000000000000"
HOST = "127.0.0.1"

_LOCK_DEADLINE = 5.0  # seconds that a killed server may still hold the lock
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV")


def settings(data: Path, port: int, enforce_iam: bool) -> dict[str, str]:
    """Return the environment variables that MiniStack reads."""
    return {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "AUTH": str(enforce_iam).lower(),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "STATE_DIR": str(data / "services"),
        "S3_DATA_DIR": str(data / "objects"),
        "TMPDIR": str(data / "temporary"),
    }


def main() -> None:
    """Serve until a signal stops the process."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.server", description="the embedded cloud's process")
    parser.add_argument("state", type=Path, help="folder of the cloud's state")
    parser.add_argument("port", type=int, help="loopback port to listen on")
    parser.add_argument("--enforce-iam", action="store_true", help="check requests against policies, as AWS does")
    arguments = parser.parse_args()
    folder = StateFolder(arguments.state.resolve())
    folder.data.mkdir(parents=True, exist_ok=True)
    with folder.server_lock.open("w") as lock:
        if not _obtained(lock):
            sys.exit(f"another server is using {folder.root}")
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        os.environ.clear()
        os.environ.update({**inherited, **settings(folder.data, arguments.port, arguments.enforce_iam)})
        emulator.require_version()
        shutil.rmtree(folder.data / "temporary", ignore_errors=True)  # files of a killed server's functions
        (folder.data / "temporary").mkdir()
        _allow_many_files()
        folder.write_record(arguments.port, arguments.enforce_iam)
        asyncio.run(_serve(folder.data, arguments.port))
        folder.remove_record()


async def _serve(data: Path, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from local_cloud import mends
    from local_cloud.durability import recovery
    from local_cloud.runner import execute

    application = emulator.module("app").app
    code = recovery.install(data)
    runner = execute.install(data / "packages", f"http://{HOST}:{port}")
    code.when_saved(runner.prune)
    mends.apply_all()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    config.graceful_timeout = 2.0
    try:
        await serve(cast(Any, origin_check.loopback_only(application)), config, shutdown_trigger=cast(Any, stop.wait))
    finally:
        runner.close()


def _obtained(lock: IO[str]) -> bool:
    """Take the lock and return whether it succeeded; a server that was just killed may still hold it."""
    deadline = time.monotonic() + _LOCK_DEADLINE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _allow_many_files() -> None:
    """Raise the soft limit of open files; many concurrent connections would reach it."""
    with contextlib.suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
