"""Documentation is plain: short lines, the field's words, and a page begins with its answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, PAGES, ROOT, name_of, without_blocks

LONGEST = 100
BANNED = (
    "lives? through",
    "living through",
    "lived through",
    "the house",
    "way back",
    "hears? of",
    "heard of",
    "is ill",
    "asks? again",
    "asked again",
    "asks? for",
    "asked for",
    "told of",
    "tells of",
    "witness",
    "papers?",
    "journal(ed|ing)?",
    "the truth",
    "gives? up the ghost",
    "wakes?",
)


def metaphors(text: str) -> list[str]:
    """Phrases that name a mechanism by a metaphor, outside code."""
    prose = re.sub(r"`[^`\n]+`", "", without_blocks(text))
    return [found.group(0) for found in re.finditer(rf"\b({'|'.join(BANNED)})\b", prose, flags=re.IGNORECASE)]


def long_lines(text: str) -> list[str]:
    """Lines of prose over the limit; a table's row and a line that is one long address or command cannot be broken."""
    prose = without_blocks(text).splitlines()
    return [line for line in prose if len(line) > LONGEST and not line.startswith("|") and " " in line.strip()[:LONGEST]]


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_no_metaphor_stands_for_a_mechanism(path: Path) -> None:
    assert metaphors(path.read_text()) == []


def test_a_metaphor_is_found_in_prose_and_not_in_code() -> None:
    assert metaphors("The governor hears of it,\nand the alarm Wakes it.") == ["hears of", "Wakes"]
    assert metaphors("The folder `journal/` and\n```\nthe way back\n```\n") == []


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_lines_of_prose_are_short(path: Path) -> None:
    assert long_lines(path.read_text()) == []


def test_a_long_line_is_found_in_prose_only() -> None:
    long = "word " * 21
    assert long_lines(f"{long}\n| {long} |\n```\n{long}\n```\n") == [long]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_begins_with_a_paragraph(path: Path) -> None:
    """The answer comes before tables, code and further headings."""
    title, first = path.read_text().split("\n\n")[:2]
    assert title.startswith("# ") and re.match(r"[A-Z`]", first), first


def test_the_readme_reaches_both_commands_on_the_first_screen() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:25]
    assert [line.split("#")[0].strip() for line in first if line.startswith("make ")] == ["make demo", "make test"]
