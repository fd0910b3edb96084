"""Reading the state files when the cloud starts: all of them, or the cloud does not start.

MiniStack starts a service whose file it cannot read with nothing, and the next save would put that nothing in the file's
place: stacks that say "complete" over functions that are gone, and no deploy that would notice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_cloud import emulator
from local_cloud.durability.metrics import METRICS


class UnusableState(Exception):
    """What is on disk cannot be taken up again.

    Parameters
    ----------
    path : Path
        The file in the way, or the folder of a journal; in a folder of the one that holds everything.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        everything = path.parent.parent if path.suffix else path.parent
        super().__init__(
            f"the cloud does not start, because {path} cannot be used: {reason}. No file was changed. Start it with the "
            f"release that wrote the file, or put back a copy of the whole folder {everything}; to give up what the cloud "
            "keeps, move that folder away and deploy again"
        )


def load(folder: Path) -> None:
    """Read the file of every service that has one, then hand each its state.

    Raises
    ------
    UnusableState
        For the first file that is not readable, or that its service does not take.
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
