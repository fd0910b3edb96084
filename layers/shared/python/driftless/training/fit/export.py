"""Export a fitted Pipeline to ONNX: equal predictions, and equal bytes at every run.

Whether the graph predicts what the Pipeline predicts is not decided here but by the parity gate.
"""

from __future__ import annotations

import warnings
from typing import Any

import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from driftless.definition.project import Project
from driftless.errors import ExportRefused
from driftless.modelling.interface import Interface, ModelOutputs, dtype_of, feature_inputs, interface_features
from driftless.training.compat import boolean_attributes_as_integers
from driftless.training.pipeline import class_names

OPSET = {"": 18, "ai.onnx.ml": 3}
# Converters refuse by all of these; MissingConverter and MissingShapeCalculator are RuntimeErrors.
_REFUSALS = (NotImplementedError, RuntimeError, ValueError, TypeError)


def to_onnx(project: Project, pipeline: Pipeline) -> bytes:
    """Convert a fitted Pipeline.

    Raises
    ------
    ExportRefused
        When a step has no conversion, with the converter's reason.
    """
    inputs = [
        (name, StringTensorType([None, 1]) if dtype_of(column.type) == "string" else FloatTensorType([None, 1]))
        for name, column in project.features.columns.items()
    ]
    options: dict[int, Any] = {} if project.task == "regression" else {id(pipeline.steps[-1][1]): {"zipmap": False}}
    try:
        with boolean_attributes_as_integers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = skl2onnx.convert_sklearn(pipeline, project.name, inputs, options=options, target_opset=OPSET)
    except _REFUSALS as error:
        # A converter's message may contain a whole forest, more than a state machine's payload can hold.
        raise ExportRefused(f"{project.model.estimator} has no ONNX form: {str(error)[:500]}") from error
    content: bytes = converted.SerializeToString(deterministic=True)
    return content


def interface(project: Project, pipeline: Pipeline) -> Interface:
    """What serving needs to know of the exported model besides its graph."""
    regression = project.task == "regression"
    return Interface(
        project=project.name,
        task=project.task,
        features=interface_features(project),
        classes=None if regression else tuple(class_names(project, pipeline)),
        event_time=project.datasets[project.features.base].event_time,
        inputs=feature_inputs(project),
        outputs=ModelOutputs(label=None, scores="variable") if regression else ModelOutputs("label", "probabilities"),
    )
