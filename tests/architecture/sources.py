"""Reading the code as code: files, syntax trees, and what each module imports, wherever in the file it says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers" / "shared" / "python"
LAMBDAS = ROOT / "lambdas"
PRODUCT = ("layers/shared", "lambdas", "infra", "cli", "local_cloud", "app.py")


def python_files(*places: str) -> list[Path]:
    """Python files at or under places of the repository, sorted."""
    found = [ROOT / place for place in places if (ROOT / place).is_file()]
    for place in places:
        found += (ROOT / place).rglob("*.py")
    return sorted(set(found))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def library_modules() -> dict[str, Path]:
    """Every module of the library by its dotted name."""
    modules = {}
    for path in sorted((LIBRARY / "driftless").rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def graph(modules: Mapping[str, tuple[ast.Module, bool]]) -> dict[str, set[str]]:
    """What each module imports of the others.

    Parameters
    ----------
    modules : mapping
        Dotted name to syntax tree and whether it is a package. A name imported from a package counts as an import of the
        submodule of that name where there is one, and of the package otherwise.
    """
    found: dict[str, set[str]] = {}
    for module, (source, is_package) in modules.items():
        package = module if is_package else module.rpartition(".")[0]
        used = {name if name in modules else name.rpartition(".")[0] for name in imports(source, package)}
        found[module] = (used & set(modules)) - {module}
    return found


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (strongly connected components, Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(edges[module]):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            circle = [stack.pop()]
            while circle[-1] != module:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for module in sorted(edges):
        if module not in order:
            visit(module)
    return found


def handlers() -> list[Path]:
    return sorted(LAMBDAS.glob("*/handler.py"))


def imports(module: ast.Module, package: str = "") -> Iterator[str]:
    """Dotted names a module imports, at its top or anywhere inside; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
