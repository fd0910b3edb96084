"""The models that serve one project, updated from the endpoint and never replaced by an older state.

After ``refresh_seconds`` the endpoint's copy in S3 is read again with If-None-Match. A new champion or challenger is loaded and
verified before it replaces the present one. When the store is unavailable, a version cannot be loaded, or the copy is older than
what serves (from a delayed writer), the present models stay and the failure is reported. A version that was refused with a
terminal error is tried again when the endpoint changes, or after a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from driftless.core.layout.artifacts import serving_endpoint
from driftless.definition.project import Project
from driftless.errors import DriftlessError, IntegrityError, NotFound, RetryableError
from driftless.modelling.endpoint import outdated
from driftless.modelling.interface import dtype_of, unfit
from driftless.modelling.loader import load_version
from driftless.modelling.manifest import Manifest
from driftless.modelling.onnx import OnnxModel
from driftless.ports import ConditionalReader, ObjectReader, Verifier
from driftless.records import Endpoint

Report = Callable[[str, dict[str, Any]], None]
_REFUSED_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Variant:
    """One loaded version and its role."""

    name: Literal["champion", "challenger"]
    version: int
    model: OnnxModel
    manifest: Manifest


@dataclass(frozen=True)
class Serving:
    """The models that serve now. ``challenger`` is None when there is none, or when it could not be loaded.

    ``refused`` is the challenger's version when it was refused with a terminal error, otherwise None.
    """

    endpoint: Endpoint
    champion: Variant
    challenger: Variant | None
    refused: int | None = None


class ServingReader(ObjectReader, ConditionalReader, Protocol):
    """What serving needs of the artifacts bucket."""


class Champions:
    """Loads and keeps the models that serve one project.

    Parameters
    ----------
    project : Project
        Its deployed definition; a model that needs other features is refused.
    store : ServingReader
        The artifacts bucket.
    verifier : Verifier
        Checks manifests' signatures.
    monotonic : callable
        Seconds of a monotonic clock.
    report : callable
        Receives ``("EndpointRefreshFailed" | "ModelRefused", facts)``.
    """

    def __init__(
        self, project: Project, *, store: ServingReader, verifier: Verifier, monotonic: Callable[[], float], report: Report
    ) -> None:
        self.project = project
        self._store, self._verifier, self._monotonic, self._report = store, verifier, monotonic, report
        self._serving: Serving | None = None
        self._loaded: dict[tuple[int, str], tuple[OnnxModel, Manifest]] = {}
        self._etag: str | None = None
        self._next_check = float("-inf")
        self._forget_etag_at = float("inf")
        self._failures = 0
        self._out_of_reach: set[str] = set()
        self._refusal: str | None = None

    def serving(self) -> Serving | None:
        """The models that serve now; reads the endpoint again when the last read is too old. None when no model serves."""
        now = self._monotonic()
        if now >= self._next_check:
            if now >= self._forget_etag_at:
                self._etag, self._forget_etag_at = None, float("inf")
            self._refresh(now)
            # Counted from the end of the read, and less often while it fails: a store whose reads time out must not delay every
            # request.
            refresh = self.project.serving.refresh_seconds
            wait = refresh * 2 ** max(0, min(self._failures, 20) - 1)
            self._next_check = self._monotonic() + max(refresh, min(wait, _LONGEST_WAIT_SECONDS))
        return self._serving

    @property
    def refusal(self) -> str | None:
        """Why the champion of the endpoint was refused; None when it was not."""
        return self._refusal

    def _refresh(self, now: float) -> None:
        name = self.project.name
        try:
            read = self._store.get_if_changed(serving_endpoint(name), self._etag)
        except NotFound:
            self._failures = 0
            return
        except DriftlessError as error:
            self._failures += 1
            self._report("EndpointRefreshFailed", {"project": name, "error": type(error).__name__, "reason": str(error)})
            return
        if read is None:
            self._failures = 0
            return
        try:
            endpoint = Endpoint.model_validate_json(read[0])
        except ValidationError as error:
            self._report("EndpointRefreshFailed", {"project": name, "error": "IntegrityError", "reason": str(error)})
            return
        self._etag, self._forget_etag_at = read[1], float("inf")
        if self._serving is not None and outdated(endpoint, self._serving.endpoint):
            reason = f"the copy is of revision {endpoint.revision}, revision {self._serving.endpoint.revision} serves already"
            self._report("EndpointRefreshFailed", {"project": name, "error": "IntegrityError", "reason": reason})
            return
        self._out_of_reach.clear()
        self._take_over(endpoint, now)
        self._failures = self._failures + 1 if self._out_of_reach else 0

    def _take_over(self, endpoint: Endpoint, now: float) -> None:
        self._refusal = None
        if endpoint.champion is None:
            self._serving = None
            return
        champion = self._load("champion", endpoint, endpoint.champion, now)
        challenger = None
        if endpoint.challenger is not None:
            challenger = self._load("challenger", endpoint, endpoint.challenger, now)
        if champion is not None:
            refused = endpoint.challenger if challenger is None and "challenger" not in self._out_of_reach else None
            self._serving = Serving(endpoint, champion, challenger, refused)
            kept = {endpoint.champion, endpoint.challenger, endpoint.previous_champion}
            self._loaded = {key: value for key, value in self._loaded.items() if key[0] in kept}

    def _load(self, part: Literal["champion", "challenger"], endpoint: Endpoint, version: int, now: float) -> Variant | None:
        key = (version, endpoint.manifests.get(str(version), ""))
        try:
            if key not in self._loaded:
                model, manifest = load_version(self._store, self.project.name, version, key[1], self._verifier)
                given = {name: dtype_of(column.type) for name, column in self.project.features.columns.items()}
                if reason := unfit(model.dtypes, given):
                    raise IntegrityError(f"version {version} does not fit the features the project defines now: {reason}")
                self._loaded[key] = model, manifest
        except DriftlessError as error:
            facts = {"project": self.project.name, "version": version, "variant": part}
            self._report("ModelRefused", {**facts, "error": type(error).__name__, "reason": str(error)})
            if part == "champion":
                self._refusal = str(error)
            if isinstance(error, RetryableError):
                self._etag = None
                self._out_of_reach.add(part)
            else:
                self._forget_etag_at = now + _REFUSED_SECONDS
            return None
        model, manifest = self._loaded[key]
        return Variant(part, version, model, manifest)
