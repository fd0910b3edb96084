"""Code, layers and the runtime's own packages, laid out on disk once and shared by every process.

A zip is unpacked into a folder named by its content, so a layer of two hundred megabytes costs its unpacking once
however many functions, versions and processes use it. The layers of a function are merged into one tree as Lambda
merges them into ``/opt`` (a later layer wins over an earlier one), made of links rather than copies. The runtime's own
packages are links too: exactly boto3, the runtime client and what those two require, nothing else of the environment.
What no function version and no layer refers to any more is removed, unless a process still runs on it.
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
_START_GRACE = 60.0  # seconds between a folder's being asked for and a process that can be seen to use it
_REQUIREMENT_NAME = re.compile(r"^[A-Za-z0-9._-]+")


class PackageStore:
    """Folders of unpacked archives under one root.

    Parameters
    ----------
    root : Path
        Where the folders live, as processes will see it. It may be deleted whenever no function runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._building = threading.Lock()
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[bytes, str]] = {}
        self._layers: dict[str, list[str]] = {}  # digests by the name of the tree that was merged from them
        self._asked_for: dict[Path, float] = {}

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
        self._layers[name] = [digest for digest, _ in layers]
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

    def prune(self, referenced: Collection[str], processes: Collection[psutil.Process]) -> None:
        """Remove the archives that nothing refers to, and the trees of layers that rest on them.

        Parameters
        ----------
        referenced : collection of str
            Digests of the code of every function version and of every layer.
        processes : collection of Process
            Those of functions; what they use stays.
        """
        archives, trees = self._root / "archives", self._root / "opt"
        with self._building, self._lock:
            folders, names = _used_by(processes)
            recent = time.monotonic() - _START_GRACE
            self._asked_for = {folder: at for folder, at in self._asked_for.items() if at > recent}
            used = {*folders, *self._asked_for, *(trees / name for name in names)}
            layers = {digest for tree in used if tree.parent == trees for digest in self._layers.get(tree.name, ())}
            kept = {*referenced, *layers, *(folder.name for folder in used if folder.parent == archives)}
            gone = [folder for folder in _entries(archives) if folder.name not in kept]
            # A tree is cheap to make again; one that an earlier life made does not say what it rests on.
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
        """Make ``folder`` whole or not at all: built beside its place, then moved into it."""
        with self._lock:
            self._asked_for[folder] = time.monotonic()
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
    """Return the folders that processes work in and the names of the trees they were started with."""
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
