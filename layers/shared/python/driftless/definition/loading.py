"""Reading project folders. Every mistake raises BadProject with the file, the line, the key, the reason and the fix."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from driftless.definition.complaints import describe, line_of
from driftless.definition.project import Project
from driftless.errors import BadProject, NotFound

RESERVED_NAMES = frozenset({"docs", "health"})


def load(folder: Path) -> Project:
    """Read and check one project folder.

    Raises
    ------
    BadProject
        Naming the file, the line, the key, the reason and the fix.
    """
    shown = f"projects/{folder.name}/project.toml"
    if folder.is_symlink():
        raise BadProject(
            f"projects/{folder.name}", "", "a link, which the projects layer does not follow", "put the folder itself there"
        )
    text = _read(folder / "project.toml", shown)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found.group(1)) if found else None
        raise BadProject(shown, "", f"not valid TOML: {error}", "correct the syntax at that line", line) from error
    try:
        project = Project.model_validate(raw)
    except ValidationError as error:
        key, reason, fix = describe(error, keys_of(Project))
        raise BadProject(shown, key, reason, fix, line_of(text, key)) from error
    if project.name in RESERVED_NAMES:
        raise BadProject(
            shown, "name", f"{project.name!r} is a route of the API itself", "choose another name", line_of(text, "name")
        )
    if project.name != folder.name:
        fix = f'write name = "{folder.name}" or rename the folder'
        raise BadProject(shown, "name", f"{project.name!r} differs from its folder", fix, line_of(text, "name"))
    name = project.features.sql
    if Path(name).name != name or not (folder / name).is_file():
        reason, fix = f"{name!r} is no file beside project.toml", "put the SQL file there, and write its name alone"
        raise BadProject(shown, "features.sql", reason, fix, line_of(text, "features.sql"))
    project.read_from(text, _read(folder / name, f"projects/{folder.name}/{name}"))
    return project


def keys_of(section: type[BaseModel]) -> set[str]:
    """Every key that a section and those inside it may have."""
    known = set(section.model_fields)
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            known |= keys_of(inner)
    return known


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a key's type contains."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from sections_in(argument)


def named(projects: Mapping[str, Project], name: str) -> Project:
    """One of the deployed projects.

    Raises
    ------
    NotFound
        When there is none of that name, telling those there are.
    """
    if name not in projects:
        raise NotFound(f"no project {name!r}; known: {', '.join(sorted(projects)) or 'none'}")
    return projects[name]


def _read(path: Path, shown: str) -> str:
    """A file as text; the mark some editors put before UTF-8 is no part of it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadProject(shown, "", "the file does not exist", "write it, or remove the folder") from error
    except UnicodeDecodeError as error:
        raise BadProject(shown, "", f"not UTF-8 text ({error.reason})", "save the file as UTF-8") from error
    except OSError as error:
        raise BadProject(shown, "", f"cannot be read: {error.strerror}", "make it a file that you may read") from error


def load_all(root: Path | None = None) -> dict[str, Project]:
    """Read every project folder, by name.

    Parameters
    ----------
    root : Path, optional
        The ``projects`` folder; by default the one on the import path (in a function, its layer).
    """
    base = root if root is not None else default_root()
    if not base.is_dir():
        raise BadProject("projects/", "", "there is no such folder", "make it, with a folder for each project")
    entries = (entry for entry in base.iterdir() if not entry.name.startswith((".", "_")))
    folders = sorted(entry for entry in entries if entry.is_dir() or entry.is_symlink())
    return {folder.name: load(folder) for folder in folders}


def default_root() -> Path:
    """The ``projects`` folder on the import path, a namespace package in functions and in the checkout alike."""
    try:
        for entry in importlib.resources.files("projects").iterdir():
            return Path(str(entry)).parent
    except ModuleNotFoundError as error:
        fix = "run from the checkout, or attach the projects layer"
        raise BadProject("projects/", "", "no projects folder on the import path", fix) from error
    raise BadProject("projects/", "", "the projects folder is empty", "add a project folder")
