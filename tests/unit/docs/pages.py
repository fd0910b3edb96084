"""What the documentation says, taken apart: prose, code blocks, tables, and the names in backticks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIBRARY = ROOT / "layers/shared/python/driftless"
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
DOCS = [*PAGES, ROOT / "CHANGELOG.md"]
FILE_ENDINGS = (".py", ".toml", ".json", ".sql", ".md", ".yml", ".txt", ".svg")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.name


def blocks(text: str, *languages: str) -> list[str]:
    """Code blocks in one of these languages."""
    return [code for language, code in _FENCED.findall(text) if language in languages]


def without_blocks(text: str) -> str:
    return _FENCED.sub("", text)


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, list items and table rows, outside code blocks, each on one line."""
    for block in re.split(r"\n\s*\n|\n(?=\||- |\d+\. )", without_blocks(text)):
        yield " ".join(block.split())


def quoted(text: str) -> list[str]:
    """Names in single backticks."""
    return re.findall(r"`([^`\n]+)`", text)


@cache
def definitions(path: Path) -> frozenset[str]:
    """Names that a module defines or imports at its top, and ``Class.member`` of its classes."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        found.update(_names(node))
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{member}" for inner in node.body for member in _names(inner))
    return frozenset(found)


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.ImportFrom):
        yield from (item.asname or item.name for item in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def module_file(parts: list[str], base: Path = LIBRARY) -> Path | None:
    """The file of a dotted module below a folder."""
    plain, package = base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")
    if parts and plain.is_file():
        return plain
    return package if package.is_file() else None


def resolves(dotted: str) -> bool:
    """Whether ``driftless.a.b`` is a module, or a name or a class's member that a module defines."""
    parts = dotted.split(".")[1:]
    for taken in (0, 1, 2):
        file = module_file(parts[: len(parts) - taken])
        if file is not None and (taken == 0 or ".".join(parts[len(parts) - taken :]) in definitions(file)):
            return True
    return False


def file_named(name: str) -> bool:
    """Whether a path exists, from the repository's root or the library's; ``<name>`` and ``*`` stand for any name."""
    pattern = re.sub(r"<[^>]+>", "*", name.rstrip("/"))
    return any(any(base.glob(pattern)) for base in (ROOT, LIBRARY))


def is_path(name: str) -> bool:
    """Whether a name in backticks is a path of the repository, and not a key of a bucket or a command."""
    if re.search(r"[\s…{}$=:]", name) or name.startswith(("/", ".", "http")):
        return False
    head, slash, _ = name.partition("/")
    return name.endswith(".py") or bool(slash and head and (ROOT / head).exists())


def unknown_names(text: str) -> list[str]:
    """Files, modules and functions that a text names and that do not exist.

    ``name()`` and ``Class.method()`` belong to the Python file named before them in the same paragraph or table row.
    """
    wrong = []
    for paragraph in paragraphs(text):
        file: Path | None = None
        for name in quoted(paragraph):
            if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*\(\)", name):
                if file is None or name.removesuffix("()") not in definitions(file):
                    wrong.append(f"{name} in {file.relative_to(ROOT) if file else 'no file'}")
            elif re.fullmatch(r"driftless(\.\w+)+", name):
                wrong += [] if resolves(name) else [name]
            elif is_path(name):
                wrong += [] if file_named(name) else [name]
                if name.endswith(".py"):
                    found = [base / name for base in (ROOT, LIBRARY) if (base / name).is_file()]
                    file = found[0] if found else None
    return wrong
