"""Registration: freeze a model into an immutable folder, sign its manifest, and register the version.

The order of writes is number, files, card, public key, manifest, signature, registry. A crash between any two writes leaves no
folder that looks finished, and the next attempt finishes it. The manifest seals the folder: before it is written the folder may
be filled again; afterwards every attempt for the same run returns what the manifest says, even when a later attempt had another
gate decision. Refused challengers are registered like any other version, with their decision and its reasons.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from driftless.core.layout.artifacts import (
    BASELINE,
    CARD,
    CARD_PAGE,
    INTERFACE,
    JOBLIB,
    MANIFEST,
    ONNX,
    SIGNATURE,
    model_folder,
    trusted_key,
)
from driftless.definition.loading import named
from driftless.definition.project import Project
from driftless.errors import Conflict, IntegrityError
from driftless.modelling import fitted_packages
from driftless.modelling.audit_chain import canonical
from driftless.modelling.card import ModelCard, parse_card
from driftless.modelling.evaluation_report import parse_report
from driftless.modelling.manifest import Manifest
from driftless.modelling.references import read
from driftless.modelling.version_files import parse_manifest
from driftless.ports import Clock, ObjectLister, ObjectReader, ObjectWriter, RunLog, Signer, VersionRegistration
from driftless.records import ModelVersion, RegistrationRequest, RunFacts, VersionRecord
from driftless.registry.card import model_card, render

_JSON = "application/json"


class RegistrationLog(RunLog, VersionRegistration, Protocol):
    """What registration needs of the registry."""


class VersionFolders(ObjectReader, ObjectWriter, ObjectLister, Protocol):
    """What registration needs of the artifacts bucket."""


class Register:
    """The registration step.

    Parameters
    ----------
    artifacts : VersionFolders
        Holds ``runs/``, ``models/`` and ``trust/``.
    registry : RegistrationLog
        Where versions are registered.
    signer : Signer
        The registration key.
    projects : mapping
        Projects by name.
    clock : callable
        Returns the current time, timezone-aware.
    """

    def __init__(
        self,
        *,
        artifacts: VersionFolders,
        registry: RegistrationLog,
        signer: Signer,
        projects: Mapping[str, Project],
        clock: Clock,
    ) -> None:
        self._artifacts = artifacts
        self._registry = registry
        self._signer = signer
        self._projects = projects
        self._clock = clock

    def __call__(self, request: RegistrationRequest) -> VersionRecord:
        """Register one run's model.

        Raises
        ------
        IntegrityError
            When a file is not what the run recorded, or the folder is sealed for another run or key.
        NotFound
            When there is no such project.
        Conflict
            When another attempt for the same run writes at the same time.
        """
        run = request.run
        project = named(self._projects, run.project)
        version = self._registry.reserve_version(run.project, run.run_id)
        prefix = model_folder(run.project, version)
        there = set(self._artifacts.list(f"{prefix}/"))
        if f"{prefix}/{MANIFEST}" in there:
            sealed = self._artifacts.get(f"{prefix}/{MANIFEST}")
        else:
            sealed = self._seal(project, request, version, prefix, there)
        manifest = parse_manifest(f"{prefix}/{MANIFEST}", sealed)
        if manifest.run_id != run.run_id:
            raise IntegrityError(f"{prefix} is sealed for run {manifest.run_id}, not for {run.run_id}")
        if f"{prefix}/{SIGNATURE}" not in there:
            self._sign(prefix, sealed, manifest.signing_key)
        registered = self._registry.create_version(_model_version(manifest, prefix, hashlib.sha256(sealed).hexdigest()))
        # A later attempt of the run may have had another gate decision; the run keeps the one that was sealed.
        facts = RunFacts(
            version=version,
            manifest_sha256=registered.manifest_sha256,
            decision=registered.decision,
            reasons=parse_card(f"{prefix}/{CARD}", self._artifacts.get(f"{prefix}/{CARD}")).decision.reasons,
            metrics=registered.metrics,
            evaluation=manifest.evaluation.key,
        )
        self._registry.record_run(run, facts)
        return VersionRecord(
            project=run.project,
            version=version,
            prefix=prefix,
            manifest_sha256=registered.manifest_sha256,
            signing_key=registered.signing_key,
            decision=registered.decision,
        )

    def _seal(self, project: Project, request: RegistrationRequest, version: int, prefix: str, there: set[str]) -> bytes:
        """Fill the folder and write its manifest; the manifest's bytes."""
        model = request.model
        contents = {
            ONNX: read(self._artifacts, model.onnx),
            JOBLIB: read(self._artifacts, model.joblib),
            BASELINE: read(self._artifacts, model.baseline),
            INTERFACE: read(self._artifacts, model.interface),
        }
        card = self._card(project, request, version, f"{prefix}/{CARD}", there)
        contents[CARD] = _encoded(card)
        contents[CARD_PAGE] = render(card).encode()
        for name, content in contents.items():
            self._place(f"{prefix}/{name}", content, there)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        manifest = self._manifest(request, version, digests, card.model.created_at, self._publish_key())
        sealed = _encoded(manifest)
        self._artifacts.put(f"{prefix}/{MANIFEST}", sealed, content_type=_JSON, if_absent=True)
        return sealed

    def _card(self, project: Project, request: RegistrationRequest, version: int, key: str, there: set[str]) -> ModelCard:
        """The card, with the time of an earlier attempt that got as far as writing the same card."""
        stored = request.evaluation.report
        report = parse_report(stored.key, read(self._artifacts, stored))
        card = model_card(project, request, version=version, created_at=self._clock(), report=report)
        if key not in there:
            return card
        try:
            earlier = parse_card(key, self._artifacts.get(key))
        except IntegrityError:
            return card  # Another release wrote it; no manifest seals it, so it may be replaced.
        model = card.model.model_copy(update={"created_at": earlier.model.created_at})
        again = card.model_copy(update={"model": model})
        return again if _encoded(again) == _encoded(earlier) else card

    def _manifest(
        self, request: RegistrationRequest, version: int, files: dict[str, str], created_at: datetime, signing_key: str
    ) -> Manifest:
        run, dataset, model, evaluation = request.run, request.dataset, request.model, request.evaluation
        return Manifest(
            project=run.project,
            version=version,
            run_id=run.run_id,
            execution_arn=run.execution_arn,
            created_at=created_at,
            decision=evaluation.decision,
            compared_with=evaluation.champion_version,
            files=files,
            tables=dataset.tables,
            train=dataset.train,
            holdout=dataset.holdout,
            train_rows=dataset.train_rows,
            holdout_rows=dataset.holdout_rows,
            train_start=dataset.train_start,
            train_end=dataset.train_end,
            holdout_end=dataset.holdout_end,
            features_digest=dataset.features_digest,
            git_commit=dataset.git_commit,
            dependencies=model.dependencies,
            dependencies_sha256=fitted_packages.digest(model.dependencies),
            parameters=model.parameters,
            metrics=evaluation.metrics,
            expected=evaluation.expected,
            evaluation=evaluation.report,
            signing_key=signing_key,
        )

    def _publish_key(self) -> str:
        """Make sure that the public key is trusted; its fingerprint."""
        key = self._signer.public_key()
        fingerprint = hashlib.sha256(key).hexdigest()
        self._artifacts.put(trusted_key(fingerprint), key, if_absent=True)
        return fingerprint

    def _sign(self, prefix: str, sealed: bytes, signing_key: str) -> None:
        fingerprint = self._publish_key()
        if fingerprint != signing_key:
            raise IntegrityError(f"{prefix}/{MANIFEST} names key {signing_key}, the registration key is {fingerprint}")
        self._artifacts.put(f"{prefix}/{SIGNATURE}", self._signer.sign(sealed), if_absent=True)

    def _place(self, key: str, content: bytes, there: set[str]) -> None:
        """Write a file of a folder that no manifest seals yet, over an earlier attempt's, never over a concurrent one's."""
        try:
            self._artifacts.put(key, content, if_absent=True)
        except Conflict:
            if key not in there:
                raise
            self._artifacts.put(key, content)


def _model_version(manifest: Manifest, prefix: str, manifest_sha256: str) -> ModelVersion:
    compared = manifest.compared_with
    return ModelVersion(
        project=manifest.project,
        version=manifest.version,
        run_id=manifest.run_id,
        created_at=manifest.created_at,
        source=prefix,
        manifest_sha256=manifest_sha256,
        signing_key=manifest.signing_key,
        decision=manifest.decision,
        metrics=manifest.metrics,
        tags={"git_commit": manifest.git_commit, "compared_with": "" if compared is None else str(compared)},
    )


def _encoded(value: ModelCard | Manifest) -> bytes:
    """JSON for people and digests alike: sorted, indented, null for numbers that JSON does not know."""
    return (json.dumps(json.loads(canonical(value)), sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()
