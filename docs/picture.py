"""Transcript and picture of the demo, both made from one real run.

``make demo > demo.txt 2>&1`` records a run. ``python -m docs.picture demo.txt`` writes the run's output into ``docs/demo.md``,
its short form into ``README.md`` and the picture ``docs/demo.svg``. Without an argument it draws the picture again from the
transcript in ``docs/demo.md``. A test compares all three, so none of them can differ from the others.
"""

from __future__ import annotations

import io
import re
import sys
import textwrap
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
PAGE, README, PICTURE = ROOT / "docs/demo.md", ROOT / "README.md", ROOT / "docs/demo.svg"
WIDTH = 100
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
FIRST = "Start the cloud and deploy"
SHOWN = ("Serve 2013-07", "Harm found", "Serve 2013-08")
"""Beginnings of the headings whose lines are in the picture."""
SHORT = (
    r"  at http",
    r"  flights/flights/flights-2013-04",
    r"  version \d+:",
    r"  POST ",
    r"  \d+ predictions ",
    r"  monitoring:",
    r"  alarm ",
    r"  governor",
    r"  retraining ",
    r"  champion:",
)
"""Beginnings of the lines that the short transcript keeps, besides headings. Each must occur."""
STYLES = (
    (r"^\S.*$", "bold cyan"),
    (r"^  ✓", "green"),
    (r"\b(ok|promoted?|accepted)\b", "green"),
    (r"\bwarn\b", "yellow"),
    (r"\b(alert|ALARM|rejected)\b", "bold red"),
    (r"^\$ .*$", "bold white"),
)
DARK = "484f58 ff7b72 3fb950 d29922 58a6ff bc8cff 39c5cf b1bac4"
BRIGHT = "6e7681 ffa198 56d364 e3b341 79c0ff d2a8ff 56d4dd f0f6fc"


def _colours(codes: str) -> list[tuple[int, int, int]]:
    return [(int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in codes.split()]


THEME = TerminalTheme((13, 17, 23), (201, 209, 217), _colours(DARK), _colours(BRIGHT))


def clean(output: str) -> str:
    """The demo's own lines of a recorded run, with a blank line before each heading and without the rule drawn behind it."""
    kept: list[str] = []
    for line in output.splitlines():
        heading = re.sub(r" ─+$", "", line)
        kept += ["", heading] if heading != line else [line.rstrip()]
    return "\n".join(kept[kept.index(FIRST) :]).strip() + "\n"


def chapters(transcript: str) -> list[list[str]]:
    """The transcript's blocks: a heading and its lines."""
    return [block.splitlines() for block in re.split(r"\n\n+", transcript.strip())]


def short(transcript: str) -> str:
    """The transcript for the README: headings up to the tables at the end, and the lines that :data:`SHORT` names.

    Raises
    ------
    ValueError
        When a line that should be kept occurs nowhere.
    """
    told = [block for block in chapters(transcript) if block[1:] and block[1].startswith(" ")]
    for pattern in SHORT:
        if not any(re.match(pattern, line) for block in told for line in block[1:]):
            raise ValueError(f"no line of the transcript begins with {pattern!r}")
    kept: list[str] = []
    for heading, *lines in told:
        first = {pattern: line for pattern in SHORT for line in reversed(lines) if re.match(pattern, line)}
        chosen = [line for line in lines if line in first.values()]
        kept += [heading, *map(_fitted, chosen)] if chosen else []
    return "\n".join(kept) + "\n"


def _fitted(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip()}…"


def picture(transcript: str) -> str:
    """The picture as SVG: the headings in :data:`SHOWN` with their lines, as a terminal of 100 columns shows them."""
    blocks = [block for block in chapters(transcript) if block[0].startswith(SHOWN)]
    lines = ["$ make demo", "  […]", ""]
    for block in blocks:
        for line in block:
            lines += textwrap.wrap(line, WIDTH - 2, subsequent_indent="      ", drop_whitespace=True, break_on_hyphens=False)
        lines.append("")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines[:-1]:
        text = Text(line)
        for pattern, style in STYLES:
            text.highlight_regex(pattern, style)
        console.print(text, highlight=False, soft_wrap=True)
    svg = console.export_svg(title="make demo", theme=THEME, unique_id="demo")
    # Fonts come from the reader's machine: a picture must load nothing from a network.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: Fira Code[^;]*;", f"font-family: {FONTS};", svg) + "\n"


def block_of(page: str) -> str:
    """The transcript that a page shows after its marker."""
    (found,) = re.findall(r"<!-- transcript -->\n+```text\n(.*?)```", page, flags=re.DOTALL)
    return str(found)


def with_block(page: str, transcript: str) -> str:
    """The page with another transcript after its marker."""
    return page.replace(f"```text\n{block_of(page)}```", f"```text\n{transcript}```", 1)


def main(arguments: list[str]) -> None:
    """Renew the page and the README from a recorded run when one is given, and the picture from the page."""
    if arguments:
        transcript = clean(Path(arguments[0]).read_text())
        PAGE.write_text(with_block(PAGE.read_text(), transcript))
        README.write_text(with_block(README.read_text(), short(transcript)))
    PICTURE.write_text(picture(block_of(PAGE.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
