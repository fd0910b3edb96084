"""Read the state files when the cloud starts; if one cannot be used, the cloud does not start.

MiniStack starts a service without state when it cannot read the service's file, and the next save would overwrite the
file. Stacks would then be "complete" although their functions do not exist, and no deployment would repair them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.metrics import METRICS


class UnusableState(Exception):
    """State on disk cannot be restored.

    Parameters
    ----------
    path : Path
        The file, or the folder of a write-ahead log; two levels or one below the folder of all state.
    reason : str
        Why it cannot be used.
    """

    def __init__(self, path: Path, reason: str) -> None:
        everything = path.parent.parent if path.suffix else path.parent
        super().__init__(
            f"the cloud does not start, because {path} cannot be used: {reason}. No file was changed. Start it with the "
            f"release that wrote the file, or restore a copy of the whole folder {everything}; to start with an empty cloud, "
            "move that folder away and deploy again"
        )


def load(folder: Path) -> None:
    """Read the files of all services, then load each service's state.

    Raises
    ------
    UnusableState
        For the first file that cannot be read or that its service rejects.
    """
    application = emulator.module("app")
    read = emulator.original(application, "load_state")
    service_of = emulator.original(application, "_get_module")
    states: list[tuple[Path, str, Any]] = []
    for name, module in {**emulator.original(application, "_state_map"), METRICS: "cloudwatch"}.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            state = read(name)
        except Exception as error:
            raise UnusableState(path, repr(error)) from error
        if state is None:
            raise UnusableState(path, "it is damaged, or of a newer format (the line above tells which)")
        states.append((path, module, state))
    for path, module, state in states:
        try:
            service_of(module).load_persisted_state(state)
        except Exception as error:
            raise UnusableState(path, repr(error)) from error
