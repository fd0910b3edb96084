"""Log subscription, or the queue of what failed before → collector: prediction lines become Parquet in the lake."""

from __future__ import annotations

from driftless.entrypoint.collector import collector_handler

handler = collector_handler()
