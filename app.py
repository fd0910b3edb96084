"""Composition only: context becomes settings, settings and the checkout's sources become stacks."""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App

from driftless.errors import BadProject, LeakageFound
from infra.composition import compose, sources
from infra.layers import LayersMissing
from infra.settings import UnknownArchitecture, UnknownStage, from_context
from infra.sizes import PackageTooLarge

_CONTEXT_KEYS = ("stage", "commit", "alarm_email", "architecture")


def main() -> None:
    """Synthesise the stage that the context names."""
    app = App()
    settings = from_context({key: app.node.try_get_context(key) for key in _CONTEXT_KEYS})
    compose(app, settings, sources(Path(__file__).resolve().parent, settings))
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except (BadProject, LayersMissing, LeakageFound, PackageTooLarge, UnknownArchitecture, UnknownStage) as error:
        sys.exit(str(error))
