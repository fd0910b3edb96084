"""What a model was fitted with, found on the import path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from driftless.modelling import fitted_packages


def package(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_packages_are_found_by_normalised_name_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path / "first", "Scikit_Learn", "1.9.0")
    package(tmp_path / "second", "scikit-learn", "1.8.0")
    package(tmp_path / "second", "numpy", "2.4.1")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert fitted_packages.installed() == {"numpy": "2.4.1", "scikit-learn": "1.9.0"}


def test_the_digest_does_not_depend_on_order_and_does_on_versions() -> None:
    one = fitted_packages.digest({"a": "1", "b": "2"})
    assert one == fitted_packages.digest({"b": "2", "a": "1"})
    assert one != fitted_packages.digest({"a": "1", "b": "3"})
