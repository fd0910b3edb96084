"""What steps need from outside: one small Protocol for each kind of use.

A step declares the ports whose methods it calls and no others; ``tests/architecture/test_ports.py`` checks it. A step that
needs several ports of one object inherits them into a Protocol of its own, next to the step. ``ObjectStore``, ``LakeTables``
and ``Registry`` are the whole of what an adapter implements; no step takes them. The contract suite
(``tests/unit/adapters/``) runs against every adapter and against the in-memory ones of :mod:`driftless.testing`.

Times are timezone-aware UTC. Keys are relative to the bucket that a store was made for.
"""

from __future__ import annotations

from driftless.ports.clock import Clock
from driftless.ports.lake import LakeTables, TableHistory, TableReader, TableWriter
from driftless.ports.metrics import MetricReader, MetricSink
from driftless.ports.objects import (
    ConditionalReader,
    ConditionalWriter,
    FileDownloader,
    FileFetcher,
    FileUploader,
    ObjectLister,
    ObjectReader,
    ObjectStore,
    ObjectWriter,
)
from driftless.ports.registry import (
    AuditReader,
    EndpointMover,
    EndpointReader,
    IngestHistory,
    IngestLog,
    Registry,
    ReportLog,
    ReportReader,
    RetrainDecisions,
    RetrainHistory,
    RunHistory,
    RunLog,
    RunReader,
    TablePins,
    VersionHistory,
    VersionReader,
    VersionRegistration,
)
from driftless.ports.signing import Signer, Verifier
from driftless.ports.workflow import Workflow

__all__ = [
    "AuditReader",
    "Clock",
    "ConditionalReader",
    "ConditionalWriter",
    "EndpointMover",
    "EndpointReader",
    "FileDownloader",
    "FileFetcher",
    "FileUploader",
    "IngestHistory",
    "IngestLog",
    "LakeTables",
    "MetricReader",
    "MetricSink",
    "ObjectLister",
    "ObjectReader",
    "ObjectStore",
    "ObjectWriter",
    "Registry",
    "ReportLog",
    "ReportReader",
    "RetrainDecisions",
    "RetrainHistory",
    "RunHistory",
    "RunLog",
    "RunReader",
    "Signer",
    "TableHistory",
    "TablePins",
    "TableReader",
    "TableWriter",
    "Verifier",
    "VersionHistory",
    "VersionReader",
    "VersionRegistration",
    "Workflow",
]
