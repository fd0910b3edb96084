"""Unpack code, layers and the runtime's packages on disk once, for all processes.

An archive is unpacked into a folder named by its digest, so a large layer is unpacked once for all functions, versions
and processes. The layers of a function are merged into one tree of links, in the order of Lambda's ``/opt`` (a later
layer overrides an earlier one). The runtime's packages are links too: boto3, the runtime client and their requirements,
and nothing else of the virtual environment. A folder that no function version and no layer refers to is removed, unless
a process still uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import distribution
from pathlib import Path

import psutil

_RUNTIME_DISTRIBUTIONS = ("boto3", "awslambdaric")
_REMOVED = ".removed"
_START_DEADLINE = 60.0  # seconds from the request for a folder until a process uses it
_REQUIREMENT_NAME = re.compile(r"^[A-Za-z0-9._-]+")


class PackageStore:
    """Folders of unpacked archives under one root.

    Parameters
    ----------
    root : Path
        The folder of all others. It may be deleted while no function runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._building = threading.Lock()
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[bytes, str]] = {}
        self._layers: dict[str, list[str]] = {}  # a merged tree's name -> the digests of its layers
        self._requested: dict[Path, float] = {}

    def digest(self, name: str, archive: bytes) -> str:
        """Return the sha256 of an archive; computed once while ``name`` has the same bytes object."""
        known = self._digests.get(name)
        if known is not None and known[0] is archive:
            return known[1]
        value = hashlib.sha256(archive).hexdigest()
        self._digests[name] = (archive, value)
        return value

    def unpacked(self, digest: str, archive: bytes) -> Path:
        """Return the folder of the archive's files; the first call unpacks it."""
        return self._build(self._root / "archives" / digest, lambda target: _unpack(archive, target))

    def merged(self, layers: Sequence[tuple[str, bytes]]) -> Path:
        """Return one tree of all layers, in which a later layer overrides an earlier one.

        Parameters
        ----------
        layers : sequence of (digest, archive)
            In the order of the function's configuration.
        """
        folders = [self.unpacked(digest, archive) for digest, archive in layers]
        name = hashlib.sha256("\n".join(digest for digest, _ in layers).encode()).hexdigest()
        self._layers[name] = [digest for digest, _ in layers]
        return self._build(self._root / "opt" / name, lambda target: _merge(list(reversed(folders)), target))

    def runtime(self) -> Path:
        """Return the folder of links to the packages of Lambda's runtime."""
        links = _runtime_links()
        name = hashlib.sha256("\n".join(f"{link}={target}" for link, target in links.items()).encode()).hexdigest()

        def build(folder: Path) -> None:
            folder.mkdir(parents=True)
            for link, target in links.items():
                (folder / link).symlink_to(target)

        return self._build(self._root / "runtime" / name, build)

    def prune(self, referenced: Collection[str], processes: Collection[psutil.Process]) -> None:
        """Remove the archives that nothing refers to, and the trees that link to them.

        Parameters
        ----------
        referenced : collection of str
            Digests of the code of every function version and of every layer.
        processes : collection of Process
            The processes of functions; the folders they use stay.
        """
        archives, trees = self._root / "archives", self._root / "opt"
        with self._building, self._lock:
            folders, names = _used_by(processes)
            recent = time.monotonic() - _START_DEADLINE
            self._requested = {folder: at for folder, at in self._requested.items() if at > recent}
            used = {*folders, *self._requested, *(trees / name for name in names)}
            layers = {digest for tree in used if tree.parent == trees for digest in self._layers.get(tree.name, ())}
            kept = {*referenced, *layers, *(folder.name for folder in used if folder.parent == archives)}
            gone = [folder for folder in _entries(archives) if folder.name not in kept]
            # A tree is cheap to build again, and the layers of a tree built by an earlier process are not known.
            gone += [
                tree for tree in _entries(trees) if tree not in used and not kept.issuperset(self._layers.get(tree.name, [""]))
            ]
            for folder in gone:
                self._layers.pop(folder.name, None)
                if not folder.name.endswith(_REMOVED):
                    folder.rename(folder.with_name(folder.name + _REMOVED))
            self._digests = {name: known for name, known in list(self._digests.items()) if known[1] in kept}
        for folder in (*_entries(archives), *_entries(trees)):
            if folder.name.endswith(_REMOVED):
                shutil.rmtree(folder, ignore_errors=True)

    def _build(self, folder: Path, build: Callable[[Path], None]) -> Path:
        """Build a folder atomically: under another name, then renamed."""
        with self._lock:
            self._requested[folder] = time.monotonic()
            if folder.is_dir():
                return folder
        with self._building:
            if not folder.is_dir():
                unfinished = folder.with_name(folder.name + ".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                folder.parent.mkdir(parents=True, exist_ok=True)
                build(unfinished)
                unfinished.rename(folder)
        return folder


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _used_by(processes: Collection[psutil.Process]) -> tuple[set[Path], set[str]]:
    """Return the working folders of processes and the names of the trees in their arguments."""
    folders, names = set[Path](), set[str]()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            folders.add(Path(process.cwd()))
            names.update(Path(argument).name for argument in process.cmdline())
    return folders, names


def _unpack(archive: bytes, target: Path) -> None:
    target.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        for member in bundle.infolist():
            path = bundle.extract(member, target)
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                Path(path).chmod(mode | 0o600)


def _merge(folders: Sequence[Path], target: Path) -> None:
    """Link what only one folder has; merge directories that several have, one level down."""
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
    """Return the installed path of each top-level file or folder of the runtime's distributions."""
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
            if top not in ("..", "__pycache__") and top not in links:  # a path is resolved once, not for each file
                links[top] = Path(str(installed.locate_file(top))).resolve()
        for requirement in installed.requires or ():
            match = _REQUIREMENT_NAME.match(requirement)
            if match and "extra ==" not in requirement:
                waiting.append(match.group())
    return dict(sorted(links.items()))
