"""Building layers: complete or absent, the same bytes for the same content, and within Lambda's limit."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra import layers, packaging, sizes
from infra.functions import FUNCTIONS
from infra.settings import Settings, for_stage, with_architecture
from tests.infra.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with empty locks and one project."""
    for name in layers.DEPENDENCY_LAYERS:
        (tmp_path / "layers" / name).mkdir(parents=True)
        (tmp_path / "layers" / name / "requirements.txt").write_text("")
    (tmp_path / "layers" / "shared" / "python").mkdir(parents=True)
    project = tmp_path / "projects" / "one"
    (project / "__pycache__").mkdir(parents=True)
    (project / "project.toml").write_text('name = "one"\n')
    (project / "features.sql").write_text("SELECT 1\n")
    (project / "__pycache__" / "features.pyc").write_bytes(b"\0")
    return tmp_path


@pytest.fixture
def settings() -> Settings:
    return for_stage("local")


def fake_uv(monkeypatch: pytest.MonkeyPatch, *, fail: str | None = None) -> list[list[str]]:
    """Replace installation by one that writes a package with everything a wheel may carry."""
    commands: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "install" not in command:
            return real(command, **options)
        commands.append(command)
        if fail is not None:
            return subprocess.CompletedProcess(command, 1, "", fail)
        package = Path(command[command.index("--target") + 1]) / "package"
        (package / "tests").mkdir(parents=True)
        for name in ("__init__.py", "module.py", "module.pyi", "header.h", "library.so", "tests/test_it.py"):
            (package / name).write_text("value = 42\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_built_layer_contains_byte_code_and_no_unused_files(
    checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fake_uv(monkeypatch)
    layers.build(settings, checkout)
    assert len(commands) == len(layers.DEPENDENCY_LAYERS)
    assert all({"--require-hashes", "--no-deps", ":all:"} <= set(command) for command in commands)
    built = layers.artifacts(settings, checkout)
    with zipfile.ZipFile(built["base"].path) as archive:
        assert archive.namelist() == [
            "python/package/__init__.pyc",
            "python/package/library.so",
            "python/package/module.pyc",
        ]
        assert built["base"].unzipped_bytes == sum(entry.file_size for entry in archive.infolist())
        archive.extractall(checkout / "unpacked")
    code = "import package.module; print(package.module.value)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout / "unpacked" / "python", capture_output=True, text=True, check=True
    )
    assert result.stdout == "42\n"


def test_unchanged_layers_are_not_built_again_and_changed_ones_are(
    checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fake_uv(monkeypatch)
    layers.build(settings, checkout)
    before = layers.artifacts(settings, checkout)
    layers.build(settings, checkout)
    assert len(commands) == 5
    (checkout / "layers" / "query" / "requirements.txt").write_text("# other\n")
    layers.build(settings, checkout)
    assert len(commands) == 6
    after = layers.artifacts(settings, checkout)
    assert {name for name in before if before[name].digest != after[name].digest} == {"query"}


def test_the_same_content_gives_the_same_bytes(checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_uv(monkeypatch)
    layers.build(settings, checkout)
    path = layers.artifacts(settings, checkout)["train"].path
    first = path.read_bytes()
    (path.parent / "layer.json").unlink()
    layers.build(settings, checkout)
    assert path.read_bytes() == first


def test_a_killed_build_leaves_no_finished_layer(checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*arguments: Any) -> int:
        raise Killed

    fake_uv(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(packaging, "archive", killed)
        with pytest.raises(Killed):
            layers.build(settings, checkout)
    leftover = checkout / ".build" / "layers" / ".partial-dead"
    leftover.mkdir()
    with pytest.raises(layers.LayersMissing, match=r"run: python -m infra.layers build --stage local"):
        layers.artifacts(settings, checkout)
    layers.build(settings, checkout)
    assert set(layers.artifacts(settings, checkout)) == {"shared", "projects", *layers.DEPENDENCY_LAYERS}
    assert not leftover.exists()


def test_a_lock_that_cannot_be_installed_is_explained(
    checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_uv(monkeypatch, fail="no wheel for this platform")
    with pytest.raises(layers.LayerBuildFailed, match=r"layer 'base' for Python .*: no wheel for this platform"):
        layers.build(settings, checkout)


def test_projects_travel_without_caches(checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_uv(monkeypatch)
    layers.build(settings, checkout)
    first = layers.artifacts(settings, checkout)["projects"]
    with zipfile.ZipFile(first.path) as archive:
        assert archive.namelist() == ["python/projects/one/features.sql", "python/projects/one/project.toml"]
    (checkout / "projects" / "one" / "features.sql").write_text("SELECT 2\n")
    layers.build(settings, checkout)
    assert layers.artifacts(settings, checkout)["projects"].digest != first.digest


def test_stages_in_aws_take_wheels_of_lambdas_platform(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = fake_uv(monkeypatch)
    monkeypatch.setattr(packaging, "interpreter", lambda python: None)
    layers.build(for_stage("prod"), checkout)
    text = " ".join(commands[0])
    assert "--python-version 3.14 --python-platform aarch64-manylinux_2_28" in text
    before = len(commands)
    layers.build(with_architecture(for_stage("prod"), "x86_64"), checkout)
    assert "--python-version 3.14 --python-platform x86_64-manylinux_2_28" in " ".join(commands[before])
    assert "no Python 3.14 on this machine, so it ships without compiled byte code" in capsys.readouterr().out


def test_locks_are_hashed_and_name_no_index() -> None:
    for name in layers.DEPENDENCY_LAYERS:
        text = (ROOT / "layers" / name / "requirements.txt").read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_no_package_travels_in_two_layers_of_one_function() -> None:
    def packages(name: str) -> set[str]:
        lines = (ROOT / "layers" / name / "requirements.txt").read_text().splitlines()
        return {line.split("==")[0] for line in lines if "==" in line}

    for spec in FUNCTIONS.values():
        chosen = [packages(name) for name in spec.layers if name in layers.DEPENDENCY_LAYERS]
        assert sum(len(p) for p in chosen) == len(set().union(*chosen)), spec.folder


def test_a_function_beyond_the_limit_is_refused_with_its_largest_parts() -> None:
    mib = 1024 * 1024
    assert sizes.check("tuning", 2 * mib, {"train": 248 * mib}) == sizes.LIMIT_BYTES
    message = r"function 'tuning' weighs 251\.0 MB unzipped .*\(train 248\.0, its own code 3\.0\).* limit is 250 MB"
    with pytest.raises(sizes.PackageTooLarge, match=message):
        sizes.check("tuning", 3 * mib, {"train": 248 * mib})


def test_synth_refuses_a_function_beyond_the_limit(tmp_path: Path) -> None:
    from aws_cdk import App, Stack
    from aws_cdk import aws_sns as sns

    from infra.constructs.function import Functions
    from infra.constructs.layer import DependencyLayers
    from tests.infra.conftest import stand_ins

    lambdas, artifacts = stand_ins(tmp_path)
    artifacts["train"] = layers.Artifact("train", artifacts["train"].path, None, sizes.LIMIT_BYTES)
    stack = Stack(App(), "stack")
    stage = for_stage("local")
    shared = DependencyLayers(stack, artifacts=artifacts, settings=stage)
    factory = Functions(stack, settings=stage, root=lambdas, layers=shared, topic=sns.Topic(stack, "Topic"))
    with pytest.raises(sizes.PackageTooLarge, match="function 'training' weighs"):
        factory.create("training", environment={}, statements=[])


def test_the_librarys_layer_leaves_the_in_memory_adapters_out(tmp_path: Path) -> None:
    from aws_cdk import App, Stack

    from infra.constructs.layer import DependencyLayer

    app = App(outdir=str(tmp_path))
    artifact = layers.Artifact("shared", ROOT / "layers" / "shared", None, 1)
    DependencyLayer(Stack(app, "stack"), "Shared", artifact=artifact, settings=for_stage("local"))
    app.synth()
    (asset,) = tmp_path.glob("asset.*")
    packages = {path.name for path in (asset / "python" / "driftless").iterdir()}
    assert {"core", "monitoring", "adapters"} <= packages
    assert "testing" not in packages


def test_the_size_table_shows_every_function_beside_the_limit(
    checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_uv(monkeypatch)
    layers.build(settings, checkout)
    lines = layers.size_table(settings, checkout).splitlines()
    assert [line.split()[0] for line in lines] == ["function", *FUNCTIONS]
    assert all(line.split()[2] == "250" for line in lines[1:])


def test_facts_of_a_layer_are_recorded(checkout: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_uv(monkeypatch)
    layers.build(settings, checkout)
    facts = json.loads((layers.artifacts(settings, checkout)["base"].path.parent / "layer.json").read_text())
    assert (facts["layer"], facts["python"], facts["compiled"]) == ("base", settings.python, True)
