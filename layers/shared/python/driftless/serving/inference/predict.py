"""One prediction request from body to response: validate, route, predict, log, respond.

It does not depend on HTTP, besides the problem that its errors carry, so it is measured and tested without a web framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from pydantic_core import ValidationError, to_json

from driftless.core.problem import InvalidRequest, Unavailable, problem_of
from driftless.definition.project import Project
from driftless.ports import Clock
from driftless.serving.inference.champions import Champions, Serving, Variant
from driftless.serving.inference.prediction_log import LoggedPrediction, PredictionLog
from driftless.serving.inference.routing import goes_to_challenger
from driftless.serving.inference.schema import ROUTING_KEY, event_time_column, request_validator

_Rows = Sequence[dict[str, Any]]


class NoModel(Unavailable):
    """The project has no model to predict with."""

    def __init__(self, project: str, refusal: str | None = None) -> None:
        super().__init__(f"project {project} has no model to predict with" + (f": {refusal}" if refusal else " yet"))


class Predict:
    """Handles the prediction requests of one project.

    Parameters
    ----------
    project : Project
    champions : Champions
        The models that serve it.
    prediction_log : PredictionLog
        Written before each response.
    clock : callable
        Timezone-aware now.
    timer : callable
        Seconds for measuring latency.
    """

    def __init__(
        self,
        project: Project,
        *,
        champions: Champions,
        prediction_log: PredictionLog,
        clock: Clock,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        self.project, self.champions = project, champions
        self._log, self._clock, self._timer = prediction_log, clock, timer
        self._validate = request_validator(project).validate_json
        self._event_time = event_time_column(project)

    def __call__(self, body: bytes, request_id: str) -> bytes:
        """Predict the records of one request.

        Parameters
        ----------
        body : bytes
            JSON as :func:`~driftless.serving.inference.schema.request_schema` describes.
        request_id : str
            Unique. Prediction ids are ``<request_id>-<index>``; records without a key are routed by it.

        Returns
        -------
        bytes
            JSON ``{"project", "model_version", "variant", "predictions": [...]}``. When both champion and challenger
            predicted, ``variant`` is ``"mixed"`` and ``model_version`` the champion's; each prediction names its own.

        Raises
        ------
        InvalidRequest
            When the body breaks the schema.
        NoModel
            When no version serves.
        """
        started = self._timer()
        try:
            records: list[dict[str, Any]] = self._validate(body)["records"]
        except ValidationError as error:
            raise InvalidRequest(problem_of(error)) from error
        serving = self.champions.serving()
        if serving is None:
            raise NoModel(self.project.name, self.champions.refusal)
        self._count_refused(serving, records, request_id)
        slots: list[LoggedPrediction | None] = [None] * len(records)
        for variant, indices in self._routed(serving, records, request_id):
            outputs = self._outputs(variant, [records[index] for index in indices])
            for index, output in zip(indices, outputs, strict=True):
                record = records[index]
                when = record.get(self._event_time) if self._event_time else None
                slots[index] = LoggedPrediction(f"{request_id}-{index}", variant.version, variant.name, record, when, output)
        predictions = [slot for slot in slots if slot is not None]
        latency_us = int((self._timer() - started) * 1e6)
        self._log.write_predictions(request_id, self._clock(), latency_us, predictions)
        return self._body(serving, predictions)

    def _count_refused(self, serving: Serving, records: _Rows, request_id: str) -> None:
        """Count the challenger's share of records as its failures when it was refused, although the champion predicts them."""
        if serving.refused is not None:
            missed = len(self._sides(serving, records, request_id)[True])
            if missed:
                self._log.count_failures(self._clock(), serving.refused, missed)

    def _routed(self, serving: Serving, records: _Rows, request_id: str) -> list[tuple[Variant, Sequence[int]]]:
        if serving.challenger is None:
            return [(serving.champion, range(len(records)))]
        sides = self._sides(serving, records, request_id)
        pairs = ((serving.champion, sides[False]), (serving.challenger, sides[True]))
        return [(variant, indices) for variant, indices in pairs if indices]

    @staticmethod
    def _sides(serving: Serving, records: _Rows, request_id: str) -> tuple[list[int], list[int]]:
        """Positions of the records that are routed to the champion and to the challenger."""
        sides: tuple[list[int], list[int]] = ([], [])
        for index, record in enumerate(records):
            key = record.get(ROUTING_KEY)
            sides[goes_to_challenger(serving.endpoint, request_id if key is None else str(key))].append(index)
        return sides

    def _outputs(self, variant: Variant, records: _Rows) -> list[dict[str, Any]]:
        model = variant.model
        with self._counting_failures(variant, len(records)):
            predictions = model.predict({name: [record.get(name) for record in records] for name in model.features})
            scores = predictions.scores.tolist()
            if not model.classes:
                return [{"prediction": _finite(value)} for value in scores]
            return [
                {"prediction": label, "probabilities": dict(zip(model.classes, map(_finite, row), strict=True))}
                for label, row in zip(predictions.labels, scores, strict=True)
            ]

    @contextmanager
    def _counting_failures(self, variant: Variant, count: int) -> Iterator[None]:
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._log.count_failures(self._clock(), variant.version, count)

    def _body(self, serving: Serving, predictions: Sequence[LoggedPrediction]) -> bytes:
        first = predictions[0]
        mixed = any(each.variant != first.variant for each in predictions)
        binary = self.project.task == "binary"
        items = []
        for each in predictions:
            item = {"id": each.id, "prediction": each.output["prediction"]}
            if binary:
                item["probability"] = each.output["probabilities"]["true"]
            elif "probabilities" in each.output:
                item["probabilities"] = each.output["probabilities"]
            if mixed:
                item["model_version"], item["variant"] = each.version, each.variant
            items.append(item)
        content = {
            "project": self.project.name,
            "model_version": serving.champion.version if mixed else first.version,
            "variant": "mixed" if mixed else first.variant,
            "predictions": items,
        }
        return to_json(content)


def _finite(value: float) -> float:
    if value - value != 0:
        raise ArithmeticError(f"the model returned {value}, which is not a finite number")
    return value
