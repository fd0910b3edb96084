"""Code, layers and the runtime's own packages, laid out on disk once and shared by every process.

A zip is unpacked into a folder named by its content, so a layer of two hundred megabytes costs its unpacking once
however many functions, versions and processes use it. The layers of a function are merged into one tree as Lambda
merges them into ``/opt`` (a later layer wins over an earlier one), made of links rather than copies. The runtime's own
packages are links too: exactly boto3, the runtime client and what those two require, nothing else of the environment.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path

_RUNTIME_DISTRIBUTIONS = ("boto3", "awslambdaric")
_REQUIREMENT_NAME = re.compile(r"^[A-Za-z0-9._-]+")


class PackageStore:
    """Folders of unpacked archives under one root.

    Parameters
    ----------
    root : Path
        Where the folders live. It may be deleted whenever no function runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[bytes, str]] = {}

    def digest(self, name: str, archive: bytes) -> str:
        """Return the sha256 of an archive, computed once as long as ``name`` keeps the same bytes object."""
        known = self._digests.get(name)
        if known is not None and known[0] is archive:
            return known[1]
        value = hashlib.sha256(archive).hexdigest()
        self._digests[name] = (archive, value)
        return value

    def unpacked(self, digest: str, archive: bytes) -> Path:
        """Return the folder that holds the archive's files, unpacking it at the first call."""
        return self._build(self._root / "archives" / digest, lambda target: _unpack(archive, target))

    def merged(self, layers: Sequence[tuple[str, bytes]]) -> Path:
        """Return one tree with the layers on top of each other, the last on top.

        Parameters
        ----------
        layers : sequence of (digest, archive)
            In the function's own order.
        """
        folders = [self.unpacked(digest, archive) for digest, archive in layers]
        name = hashlib.sha256("\n".join(digest for digest, _ in layers).encode()).hexdigest()
        return self._build(self._root / "opt" / name, lambda target: _merge(list(reversed(folders)), target))

    def runtime(self) -> Path:
        """Return the folder of links to the packages that Lambda's runtime brings along."""
        links = _runtime_links()
        name = hashlib.sha256("\n".join(f"{link}={target}" for link, target in links.items()).encode()).hexdigest()

        def build(folder: Path) -> None:
            folder.mkdir(parents=True)
            for link, target in links.items():
                (folder / link).symlink_to(target)

        return self._build(self._root / "runtime" / name, build)

    def _build(self, folder: Path, build: Callable[[Path], None]) -> Path:
        """Make ``folder`` whole or not at all: built beside its place, then moved into it."""
        if folder.is_dir():
            return folder
        with self._lock:
            if not folder.is_dir():
                unfinished = folder.with_name(folder.name + ".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                folder.parent.mkdir(parents=True, exist_ok=True)
                build(unfinished)
                unfinished.rename(folder)
        return folder


def _unpack(archive: bytes, target: Path) -> None:
    target.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        for member in bundle.infolist():
            path = bundle.extract(member, target)
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                Path(path).chmod(mode | 0o600)


def _merge(folders: Sequence[Path], target: Path) -> None:
    """Link what only one folder has; where several have a directory of the same name, merge it one level down."""
    target.mkdir(parents=True)
    names = sorted({entry.name for folder in folders for entry in folder.iterdir()})
    for name in names:
        candidates = [folder / name for folder in folders if (folder / name).exists()]
        directories = [candidate for candidate in candidates if candidate.is_dir()]
        if candidates[0].is_dir() and len(directories) > 1:
            _merge(directories, target / name)
        else:
            (target / name).symlink_to(candidates[0])


def _runtime_links() -> dict[str, Path]:
    """Map each top-level file or folder of the runtime's distributions to where it is installed."""
    links: dict[str, Path] = {}
    waiting, seen = list(_RUNTIME_DISTRIBUTIONS), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        installed = distribution(name)
        for file in installed.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__"):
                links[top] = Path(str(installed.locate_file(top))).resolve()
        for requirement in installed.requires or ():
            match = _REQUIREMENT_NAME.match(requirement)
            if match and "extra ==" not in requirement:
                waiting.append(match.group())
    return dict(sorted(links.items()))
