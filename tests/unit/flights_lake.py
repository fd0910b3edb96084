"""The flights project over its real files, and variants of it that cheat."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from driftless.adapters.local import FolderStore
from driftless.data.validation import Validate
from driftless.definition.loading import load, load_all
from driftless.definition.project import Project
from driftless.records import ValidationRecord, ValidationRequest

PROJECTS = Path(__file__).parents[2] / "projects"


def validated(csvs: Mapping[str, Path], folder: Path) -> tuple[FolderStore, dict[str, ValidationRecord]]:
    """Send the files through validation; the lake and the verdicts."""
    landing, lake = FolderStore(folder / "landing"), FolderStore(folder / "lake")
    validate = Validate(landing=landing, lake=lake, projects=load_all(PROJECTS), clock=lambda: datetime.now(UTC))
    verdicts = {}
    for dataset, path in csvs.items():
        key = f"flights/{dataset}/{path.name}"
        landing.upload(path, key)
        verdicts[dataset] = validate(ValidationRequest(bucket="landing", key=key))
    return lake, verdicts


def staged_files(csvs: Mapping[str, Path], folder: Path) -> dict[str, list[Path]]:
    """Parquet files per dataset, as a laptop would hand them to ``features.build``."""
    lake, verdicts = validated(csvs, folder)
    found = {}
    for dataset, verdict in verdicts.items():
        assert verdict.staged is not None, verdict.reasons
        found[dataset] = [lake.folder / verdict.staged.key]
    return found


def variant(folder: Path, *, toml: Mapping[str, str] | None = None, sql: Mapping[str, str] | None = None) -> Project:
    """The flights project with texts replaced; every replaced text must be there."""
    target = folder / "flights"
    shutil.copytree(PROJECTS / "flights", target, dirs_exist_ok=True)
    for name, changes in (("project.toml", toml or {}), ("features.sql", sql or {})):
        text = (target / name).read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new, 1)
        (target / name).write_text(text, encoding="utf-8")
    return load(target)
