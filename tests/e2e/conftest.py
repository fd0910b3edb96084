"""One embedded cloud, deployed once, for all end-to-end tests; stopped by its own record whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout
from tests.e2e.generated import write_energy, write_projects, write_tickets


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The repository beside which two project folders were added, and nothing else, deployed with the real CDK command."""
    root = tmp_path_factory.mktemp("checkout")
    work = Checkout.copy(root)
    write_projects(root / "projects")
    try:
        work.json("up", timeout=900)
        yield work
    finally:
        work.run("down", timeout=120)


@pytest.fixture(scope="session")
def energy_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_energy(tmp_path_factory.mktemp("energy") / "readings.csv")


@pytest.fixture(scope="session")
def tickets_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tickets(tmp_path_factory.mktemp("tickets") / "tickets.csv")


def champion(checkout: Checkout, project: str, dataset: str, data: Path) -> int:
    """The version that serves a project; without one, data is pushed and a first one trained."""
    found = checkout.json("models", "list", project)["endpoint"]["champion"]
    if found is None:
        checkout.json("data", "push", project, dataset, str(data))
        checkout.json("train", project, "--name", f"{project}-first")
        found = checkout.json("models", "list", project)["endpoint"]["champion"]
    assert isinstance(found, int)
    return found


@pytest.fixture(scope="session")
def energy_champion(checkout: Checkout, energy_csv: Path) -> int:
    """A model of ``energy`` that serves: by the tests before, or, where those were not chosen, trained here."""
    return champion(checkout, "energy", "readings", energy_csv)


@pytest.fixture(scope="session")
def tickets_champion(checkout: Checkout, tickets_csv: Path) -> int:
    """The same of ``tickets``."""
    return champion(checkout, "tickets", "tickets", tickets_csv)
