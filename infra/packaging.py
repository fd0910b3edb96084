"""Turning an installed folder of wheels into a small, reproducible layer.

Pruning removes what no function imports: tests, headers, type stubs, build leftovers. It never strips libraries and never
touches ``numpy/f2py``, which scipy imports. Byte code takes the place of the sources: with both, scikit-learn and pandas
would not fit into Lambda, and without byte code every cold start would compile them again. The archive lists files in
order with one fixed time, so the same content always gives the same bytes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

RECIPE = 4
"""Raise it whenever a rule below changes, so that cached layers are built again."""

_PRUNED_FOLDERS = frozenset({"__pycache__", "tests", "test", "include", "benchmarks"})
_PRUNED_SUFFIXES = frozenset(
    {".a", ".c", ".cc", ".cpp", ".f90", ".h", ".hpp", ".lib", ".map", ".pxd", ".pyc", ".pyi", ".pyx", ".tp", ".tpl"}
)
_PRUNED_NAMES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "py.typed", ".lock"})
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def prune(folder: Path) -> None:
    """Delete what is only needed to develop a package, in place."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for path in sorted(folder.rglob("*"), key=lambda entry: -len(entry.parts)):
        if path.is_dir():
            if path.name in _PRUNED_FOLDERS:
                shutil.rmtree(path)
        elif path.suffix in _PRUNED_SUFFIXES or path.name in _PRUNED_NAMES:
            path.unlink(missing_ok=True)


def interpreter(python: str) -> str | None:
    """Path of a working interpreter of that version (``3.14``), or None when this machine has none."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    probe = subprocess.run([found, "-c", version], check=False, capture_output=True, text=True)
    return found if probe.returncode == 0 and probe.stdout.strip() == python else None


def compile_bytecode(folder: Path, executable: str) -> None:
    """Replace sources by ``.pyc`` files that are valid whatever their times; what does not compile stays a source."""
    command = [executable, "-m", "compileall", "-q", "-b", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    # Some wheels carry templates or syntax of other Pythons behind a guard; those files fail here and are never imported.
    subprocess.run([*command, "-s", str(folder), "-p", "/opt/python", str(folder)], capture_output=True, check=False)
    for source in folder.rglob("*.py"):
        if source.with_suffix(".pyc").is_file():
            source.unlink()


def archive(folder: Path, target: Path, prefix: str) -> int:
    """Write the files of ``folder`` under ``prefix`` into a zip and return their bytes unzipped."""
    total = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as output:
        for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
            data = path.read_bytes()
            total += len(data)
            info = zipfile.ZipInfo(f"{prefix}/{path.relative_to(folder).as_posix()}", _ZIP_TIME)
            info.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            output.writestr(info, data)
    return total
