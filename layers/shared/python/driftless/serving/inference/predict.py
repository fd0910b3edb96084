"""One prediction request from body to answer: validate, route, predict, journal, answer.

It knows nothing of HTTP besides the problem it raises, so it is the part to measure and to test without a web stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from pydantic_core import ValidationError, to_json

from driftless.core.problem import InvalidRequest, Problem, problem_of
from driftless.definition.project import Project
from driftless.errors import StoreUnavailable
from driftless.ports import Clock
from driftless.serving.inference.champions import Champions, Serving, Variant
from driftless.serving.inference.journal import Answered, Journal
from driftless.serving.inference.routing import goes_to_challenger
from driftless.serving.inference.schema import ROUTING_KEY, event_time_column, request_validator

_RETRY_AFTER = 5
_Rows = Sequence[dict[str, Any]]


class NoModel(StoreUnavailable):
    """No model of the project can answer yet."""

    def __init__(self, project: str, refusal: str | None = None) -> None:
        why = f"project {project} has no model to answer with" + (f": {refusal}" if refusal else " yet")
        self.problem = Problem(503, why, retry_after=_RETRY_AFTER)
        super().__init__(self.problem.detail)


class Predict:
    """Answers prediction requests of one project.

    Parameters
    ----------
    project : Project
    champions : Champions
        Who serves it.
    journal : Journal
        Written before each answer.
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
        journal: Journal,
        clock: Clock,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        self.project, self.champions = project, champions
        self._journal, self._clock, self._timer = journal, clock, timer
        self._validate = request_validator(project).validate_json
        self._event_time = event_time_column(project)

    def __call__(self, body: bytes, request_id: str) -> bytes:
        """Answer one request.

        Parameters
        ----------
        body : bytes
            JSON as :func:`~driftless.serving.inference.schema.request_schema` describes.
        request_id : str
            Unique; prediction ids are ``<request_id>-<index>``, and it routes records that carry no key.

        Returns
        -------
        bytes
            JSON ``{"project", "model_version", "variant", "predictions": [...]}``. When champion and challenger both answered,
            ``variant`` is ``"mixed"`` and ``model_version`` the champion's; each prediction names its own.

        Raises
        ------
        InvalidRequest
            When the body breaks the schema.
        NoModel
            When nobody serves.
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
        answers: list[Answered | None] = [None] * len(records)
        for variant, indices in self._routed(serving, records, request_id):
            outputs = self._outputs(variant, [records[index] for index in indices])
            for index, output in zip(indices, outputs, strict=True):
                record = records[index]
                when = record.get(self._event_time) if self._event_time else None
                answers[index] = Answered(f"{request_id}-{index}", variant.version, variant.name, record, when, output)
        answered = [answer for answer in answers if answer is not None]
        latency_us = int((self._timer() - started) * 1e6)
        self._journal.answered(request_id, self._clock(), latency_us, answered)
        return self._body(serving, answered)

    def _count_refused(self, serving: Serving, records: _Rows, request_id: str) -> None:
        """What a challenger that was refused for good had to answer counts as its failure, though the champion answers."""
        if serving.refused is not None:
            missed = len(self._sides(serving, records, request_id)[True])
            if missed:
                self._journal.failed(self._clock(), serving.refused, missed)

    def _routed(self, serving: Serving, records: _Rows, request_id: str) -> list[tuple[Variant, Sequence[int]]]:
        if serving.challenger is None:
            return [(serving.champion, range(len(records)))]
        sides = self._sides(serving, records, request_id)
        pairs = ((serving.champion, sides[False]), (serving.challenger, sides[True]))
        return [(variant, indices) for variant, indices in pairs if indices]

    @staticmethod
    def _sides(serving: Serving, records: _Rows, request_id: str) -> tuple[list[int], list[int]]:
        """Positions of the records that champion and challenger answer."""
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
                self._journal.failed(self._clock(), variant.version, count)

    def _body(self, serving: Serving, answers: Sequence[Answered]) -> bytes:
        first = answers[0]
        mixed = any(answer.variant != first.variant for answer in answers)
        binary = self.project.task == "binary"
        predictions = []
        for answer in answers:
            item = {"id": answer.id, "prediction": answer.output["prediction"]}
            if binary:
                item["probability"] = answer.output["probabilities"]["true"]
            elif "probabilities" in answer.output:
                item["probabilities"] = answer.output["probabilities"]
            if mixed:
                item["model_version"], item["variant"] = answer.version, answer.variant
            predictions.append(item)
        content = {
            "project": self.project.name,
            "model_version": serving.champion.version if mixed else first.version,
            "variant": "mixed" if mixed else first.variant,
            "predictions": predictions,
        }
        return to_json(content)


def _finite(value: float) -> float:
    if value - value != 0:
        raise ArithmeticError(f"the model answered {value}")
    return value
