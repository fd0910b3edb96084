"""The transcript, its short form and the picture are of one run of the demo."""

from __future__ import annotations

import re

import pytest

from docs import picture
from tests.unit.docs.pages import ROOT

RECORDED = """.venv/bin/python -m cli.demo
Start the cloud and deploy ─────────
  at http://127.0.0.1:4566: synthesis 1.0 s
Harm found: alarm ──────────────────
  governor: retrain

What ran
deploy  4 stacks
"""


def test_the_short_transcript_and_the_picture_follow_from_the_whole_one() -> None:
    transcript = picture.block_of(picture.PAGE.read_text())
    assert picture.block_of(picture.README.read_text()) == picture.short(transcript)
    assert picture.PICTURE.read_text() == picture.picture(transcript)


def test_the_picture_loads_nothing_and_fits() -> None:
    svg = picture.PICTURE.read_text()
    assert "@font-face" not in svg
    assert re.findall(r"(?:url\(|href=)[\"']?(?!#)", svg) == []
    assert "Fira" not in svg
    widest = max(float(x) + float(width) for x, width in re.findall(r'<text [^>]*x="([\d.]+)" [^>]*textLength="([\d.]+)"', svg))
    assert widest <= float(re.findall(r'viewBox="0 0 ([\d.]+) ', svg)[0])


def test_the_readme_shows_the_picture_and_a_short_transcript() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "](docs/demo.svg)" in readme
    assert len(picture.block_of(readme).splitlines()) <= 30


def test_a_recorded_run_is_cleaned() -> None:
    assert picture.clean(RECORDED) == (
        "Start the cloud and deploy\n  at http://127.0.0.1:4566: synthesis 1.0 s\n\n"
        "Harm found: alarm\n  governor: retrain\n\nWhat ran\ndeploy  4 stacks\n"
    )


def test_a_line_that_the_short_transcript_needs_is_missed() -> None:
    with pytest.raises(ValueError, match=r"no line .* begins with"):
        picture.short(picture.clean(RECORDED))


def test_a_page_takes_another_transcript() -> None:
    page = "# Demo\n\n<!-- transcript -->\n```text\nold\n```\n\nmore\n"
    assert picture.with_block(page, "new\n") == page.replace("old", "new")
