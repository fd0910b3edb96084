from __future__ import annotations

import pytest
from rich.console import Console

from cli.shared.console import Markup, coloured, report_failure, table
from cli.shared.failures import Failure

NASTY = ["x[/foo].csv", "must match [a-z]+", "[bold]no[/bold]", "[/]", "ends with \\", "[link=file:///x]y[/link]"]


@pytest.mark.parametrize("text", NASTY)
def test_text_of_files_and_services_is_shown_as_it_is(text: str) -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(text, ("plain", "coloured", text), [(text, coloured(text, "ok"), None)]))
    assert captured.get().count(text) == 4


def test_markup_on_purpose_stays_markup() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table("t", ("cell",), [(Markup(f"drift {coloured('alert', 'bad')}"),), (7,)]))
    assert "drift alert" in captured.get()
    assert "7" in captured.get()


def test_a_failure_is_told_on_stderr_when_stdout_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    report_failure(Failure("status", "2 parts are ill", "look"), as_json=True)
    assert "2 parts are ill" in capsys.readouterr().err
