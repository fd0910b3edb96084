"""Dependency layers, built once per content and kept under ``.build/layers``.

A layer is named by a digest of its lock file, its target and the packaging recipe, so an unchanged layer is never built
or uploaded again. It is built beside its final place and renamed into it: whatever is killed halfway leaves no half layer.
One build runs at a time. Synth only looks layers up (:func:`artifacts`); ``python -m infra.layers build`` makes them.

The target is this machine's own interpreter for the local stage, Lambda's platform otherwise. A package is carried by one
layer only: what ``base`` or the Lambda runtime brings is left out of the other locks (:data:`PROVIDED`).
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra import packaging, sizes
from infra.functions import FUNCTIONS
from infra.settings import Settings, from_context

ROOT = Path(__file__).resolve().parent.parent
DEPENDENCY_LAYERS = ("base", "query", "lake", "train", "serve")
_BOTO = ("boto3", "botocore", "s3transfer", "python-dateutil", "six", "urllib3")
_BASE = ("annotated-types", "jmespath", "pydantic", "pydantic-core", "typing-extensions", "typing-inspection", "wrapt")
PROVIDED: dict[str, tuple[str, ...]] = {
    "base": _BOTO,
    "query": _BASE,
    "lake": _BASE,
    "train": _BASE,
    "serve": _BASE,
}
"""Packages a lock leaves out: the Lambda runtime brings boto3 with its dependencies, ``base`` is in every function."""


class LayersMissing(RuntimeError):
    """Synth needs layers that were not built."""


class LayerBuildFailed(RuntimeError):
    """uv could not install a lock for the target."""


@dataclass(frozen=True)
class Artifact:
    """A finished layer: asset path, digest of its content (None: let CDK hash it) and bytes unzipped."""

    name: str
    path: Path
    digest: str | None
    unzipped_bytes: int


def _target(settings: Settings) -> tuple[str, ...]:
    """uv's arguments that select the wheels of a stage's functions."""
    if settings.native_packages:
        return ("--python", sys.executable)
    machine = "aarch64" if settings.architecture == "arm64" else "x86_64"
    return ("--python-version", settings.python, "--python-platform", f"{machine}-manylinux_2_28")


def _digest(root: Path, name: str, settings: Settings) -> str:
    content = hashlib.sha256((root / "layers" / name / "requirements.txt").read_bytes())
    platform = sysconfig.get_platform() if settings.native_packages else settings.architecture
    compiled = packaging.interpreter(settings.python) is not None
    content.update(f"{settings.python} {platform} {packaging.RECIPE} {compiled}".encode())
    return content.hexdigest()[:32]


def _project_files(root: Path) -> list[Path]:
    found = (root / "projects").rglob("*")
    return sorted(path for path in found if path.is_file() and path.suffix in {".toml", ".sql", ".py"})


def _projects_digest(root: Path) -> str:
    content = hashlib.sha256()
    for path in _project_files(root):
        content.update(f"{path.relative_to(root).as_posix()}\0".encode())
        content.update(path.read_bytes())
        content.update(b"\0")
    return content.hexdigest()[:32]


def _finished(root: Path, name: str, digest: str) -> Artifact | None:
    folder = root / ".build" / "layers" / f"{name}-{digest}"
    facts = folder / "layer.json"
    if not facts.is_file():
        return None
    return Artifact(name, folder / "layer.zip", digest, int(json.loads(facts.read_text())["unzipped_bytes"]))


def artifacts(settings: Settings, root: Path = ROOT) -> dict[str, Artifact]:
    """Every layer of a stage, ready to become an asset.

    Raises
    ------
    LayersMissing
        When one was not built for this stage and content.
    """
    shared = root / "layers" / "shared"
    found = {"shared": Artifact("shared", shared, None, sizes.folder_bytes(shared))}
    wanted = {name: _digest(root, name, settings) for name in DEPENDENCY_LAYERS} | {"projects": _projects_digest(root)}
    for name, digest in wanted.items():
        artifact = _finished(root, name, digest)
        if artifact is None:
            raise LayersMissing(f"layer {name!r} is not built; run: python -m infra.layers build --stage {settings.stage}")
        found[name] = artifact
    return found


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Hold the build lock, and clear what killed builders left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for leftover in folder.glob(".partial-*"):
            shutil.rmtree(leftover)
        yield


def _publish(partial: Path, content: Path, final: Path, prefix: str, facts: Mapping[str, object]) -> None:
    """Archive ``content`` inside ``partial`` and rename the result into place."""
    result = partial / "result"
    result.mkdir()
    total = packaging.archive(content, result / "layer.zip", prefix)
    (result / "layer.json").write_text(json.dumps({**facts, "unzipped_bytes": total}, indent=1) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    result.rename(final)


def _build_dependencies(root: Path, name: str, settings: Settings, final: Path, partial: Path) -> None:
    content = partial / "python"
    lock = root / "layers" / name / "requirements.txt"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--target", str(content), *_target(settings), "-r", str(lock)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LayerBuildFailed(f"layer {name!r} for Python {settings.python} {settings.architecture}: {done.stderr.strip()}")
    packaging.prune(content)
    executable = packaging.interpreter(settings.python)
    if executable is None:
        print(f"layer {name}: no Python {settings.python} on this machine, so it ships without compiled byte code")
    else:
        packaging.compile_bytecode(content, executable)
    facts = {"layer": name, "python": settings.python, "architecture": settings.architecture, "compiled": executable is not None}
    _publish(partial, content, final, "python", facts)


def build(settings: Settings, root: Path = ROOT) -> None:
    """Build the layers of a stage that are not built yet.

    Raises
    ------
    LayerBuildFailed
        When a lock cannot be installed for the target, with uv's reason.
    """
    folder = root / ".build" / "layers"
    with _only_builder(folder):
        for name in DEPENDENCY_LAYERS:
            digest = _digest(root, name, settings)
            if _finished(root, name, digest) is None:
                print(f"layer {name}: building for Python {settings.python} {settings.architecture}", flush=True)
                with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
                    _build_dependencies(root, name, settings, folder / f"{name}-{digest}", Path(partial))
        digest = _projects_digest(root)
        if _finished(root, "projects", digest) is None:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
                content = Path(partial) / "projects"
                for source in _project_files(root):
                    copy = content / source.relative_to(root / "projects")
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, copy)
                _publish(Path(partial), content, folder / f"projects-{digest}", "python/projects", {"layer": "projects"})


def size_table(settings: Settings, root: Path = ROOT) -> str:
    """The size of every function with its layers beside Lambda's limit.

    Raises
    ------
    sizes.PackageTooLarge
        When one does not fit.
    """
    built = artifacts(settings, root)
    rows = []
    for spec in FUNCTIONS.values():
        weights = {name: built[name].unzipped_bytes for name in spec.layers}
        rows.append((spec.folder, weights, sizes.check(spec.folder, sizes.folder_bytes(root / "lambdas" / spec.folder), weights)))
    return sizes.table(rows)


def lock(root: Path = ROOT) -> None:
    """Compile every ``requirements.in`` into a hashed lock for all supported platforms and Pythons.

    The development locks under ``requirements/`` act as constraints, so a layer ships the versions the tests ran.
    """
    constraints = [option for path in sorted((root / "requirements").glob("*.txt")) for option in ("--constraints", str(path))]
    for name in DEPENDENCY_LAYERS:
        folder = root / "layers" / name
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-annotate", "--no-header", *constraints]
        command += [option for package in PROVIDED[name] for option in ("--no-emit-package", package)]
        subprocess.run([*command, str(folder / "requirements.in"), "-o", str(folder / "requirements.txt")], check=True)


def main() -> None:
    """Entry point of ``python -m infra.layers``."""
    parser = argparse.ArgumentParser(prog="python -m infra.layers", description="Build, lock or weigh the dependency layers.")
    parser.add_argument("action", choices=("build", "lock", "sizes"))
    parser.add_argument("--stage", help="stage to build for (default: CDK's context, or local)")
    arguments = parser.parse_args()
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    settings = from_context(context | ({"stage": arguments.stage} if arguments.stage else {}))
    if arguments.action == "lock":
        lock()
        return
    if arguments.action == "build":
        build(settings)
    table = size_table(settings)
    if arguments.action == "sizes":
        print(table)


if __name__ == "__main__":
    try:
        main()
    except (LayersMissing, LayerBuildFailed, sizes.PackageTooLarge, ValueError) as error:
        sys.exit(str(error))
