"""Predictor: writes a candidate's probabilities down once, for every figure drawn from them."""

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from muwnet_fer.components.predictor import artifacts, executor


class PredictorSpec(types.ComponentSpec):
    """Raw Examples and a model in, Predictions out."""

    PARAMETERS = {
        executor.SPLITS_KEY: component_spec.ExecutionParameter(type=str),
        "source_fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {
        executor.PREDICTIONS_KEY: component_spec.ChannelParameter(type=artifacts.Predictions)
    }


class Predictor(base_component.BaseComponent):
    """Predicts splits of raw Examples through the model's serving signature.

    Component `outputs` contains:
    - `predictions`: Predictions.
    """

    SPEC_CLASS = PredictorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        splits: list[str],
        source_fingerprint: str,
    ):
        """Takes raw Examples, the names of their splits to predict, a model with the signature
        `serving_default`, and the fingerprint of the executor's source.
        """
        super().__init__(
            PredictorSpec(
                examples=examples,
                model=model,
                splits=json.dumps(splits),
                source_fingerprint=source_fingerprint,
                predictions=types.Channel(type=artifacts.Predictions),
            )
        )
