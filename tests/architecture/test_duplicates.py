"""No block of code stands twice, in the product or in the tests.

Compared are code lines without their indentation: imports, docstrings, comments, blank lines and lines of closing
punctuation alone do not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.sources import PRODUCT, python_files, shown

BLOCK = 15
_CLOSING = re.compile(r"[\s()\[\]{},:]*$")


@dataclass(frozen=True)
class Block:
    """Lines that stand at two places; lines are counted from one, the last one included."""

    first: str
    first_lines: tuple[int, int]
    second: str
    second_lines: tuple[int, int]

    def __str__(self) -> str:
        here, there = self.first_lines, self.second_lines
        return f"{self.first}:{here[0]}-{here[1]} = {self.second}:{there[0]}-{there[1]}"


def code_lines(source: str) -> list[tuple[int, str]]:
    """Line number and text of each line that counts, runs of white space as one space."""
    left_out: set[int] = set()
    for node in _statements(ast.parse(source).body):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = ((number, " ".join(line.split())) for number, line in enumerate(source.splitlines(), 1) if number not in left_out)
    return [(number, line) for number, line in lines if not line.startswith("#") and not _CLOSING.fullmatch(line)]


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, those inside other statements too; expressions are not visited, which would take most of the time."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, inner, []))
        for part in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from _statements(part.body)


def duplicates(sources: Mapping[str, str], size: int = BLOCK) -> list[Block]:
    """Blocks of at least so many lines that stand twice, each once and at its full length."""
    seen: dict[tuple[int, ...], tuple[str, int]] = {}
    numbers: dict[str, int] = {}
    lines = {name: code_lines(source) for name, source in sources.items()}
    pairs: dict[tuple[str, str, int], list[int]] = {}
    for name, numbered in lines.items():
        texts = tuple(numbers.setdefault(line, len(numbers)) for _, line in numbered)
        for start in range(len(texts) - size + 1):
            other, at = seen.setdefault(texts[start : start + size], (name, start))
            if (other, at) != (name, start) and (other != name or start - at >= size):
                pairs.setdefault((other, name, start - at), []).append(at)
    found = []
    for (first, second, offset), starts in pairs.items():
        for begin, end in _runs(starts):
            here, there = lines[first], lines[second]
            last = end + size - 1
            spans = (here[begin][0], here[last][0]), (there[begin + offset][0], there[last + offset][0])
            found.append(Block(first, spans[0], second, spans[1]))
    return found


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers; the numbers ascend."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def repository() -> dict[str, str]:
    return {shown(path): path.read_text(encoding="utf-8") for path in python_files(*PRODUCT, "projects", "tests")}


def test_no_block_stands_twice() -> None:
    sources = repository()
    assert [str(block) for block in duplicates(sources)] == []
    assert len(sources) > 100


def function(name: str, lines: int) -> str:
    return f"def {name}():\n" + "".join(f"    value_{number} = compute({number})\n" for number in range(lines))


def test_a_planted_block_is_found_at_both_places_at_its_full_length() -> None:
    copied = function("two", 20).replace("    ", "        ").replace("value_7", "# why\n\n        value_7")
    blocks = duplicates({"one.py": function("one", 20), "two.py": f"import os\n\n\nclass C:\n    {copied}"})
    assert [str(block) for block in blocks] == ["one.py:2-21 = two.py:6-27"]


def test_a_block_that_stands_twice_in_one_file_is_found() -> None:
    assert len(duplicates({"one.py": function("one", BLOCK) + function("two", BLOCK)})) == 1


def test_shorter_blocks_imports_docstrings_and_closing_lines_do_not_count() -> None:
    imports = "".join(f"import module_{number}\n" for number in range(20))
    docstring = '"""First line.\n' + "".join(f"line {number}\n" for number in range(20)) + '"""\n'
    short = docstring + imports + function("f", BLOCK - 1) + "    call(\n        [\n        ]\n    )\n"
    assert duplicates({"one.py": short, "two.py": short.replace("call", "other").replace("def f", "def g")}) == []


def test_a_line_that_repeats_itself_is_no_copy_of_itself() -> None:
    assert duplicates({"one.py": "step()\n" * (2 * BLOCK - 1)}) == []


def test_the_repository_is_read_from_where_it_is() -> None:
    assert Path(__file__).name in {Path(name).name for name in repository()}
