"""Alarm, schedule or a request by hand → governor: may this project train again, and if so, start it."""

from __future__ import annotations

from driftless.entrypoint.governor import governor_handler

handler = governor_handler()
