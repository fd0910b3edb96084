from __future__ import annotations

from pathlib import Path

import pytest

from cli.shared import local
from cli.shared.failures import Failure
from local_cloud import lifecycle, state


def test_delete_stops_the_cloud_and_removes_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ".driftless"
    folder.mkdir()
    (folder / "cloud.json").write_text("{}")
    stopped: list[bool] = []
    monkeypatch.setattr(state, "DEFAULT_FOLDER", folder)
    monkeypatch.setattr(lifecycle, "down", lambda: stopped.append(True))
    local.delete()
    assert stopped == [True]
    assert not folder.exists()


def test_an_endpoint_in_aws_has_no_differences() -> None:
    assert local.differences("https://sts.eu-west-1.amazonaws.com") == []


def test_an_error_of_the_embedded_cloud_becomes_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def survives() -> bool:
        raise lifecycle.CloudError("process 7 survived SIGKILL")

    monkeypatch.setattr(lifecycle, "down", survives)
    with pytest.raises(Failure, match="process 7 survived SIGKILL") as caught:
        local.stop()
    assert caught.value.next_step == "correct the cause, then run `driftless up`"
