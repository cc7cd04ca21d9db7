"""Report: what people look at after a run, as a site; the pipeline's last step, blessed or not."""

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from muwnet_fer.components.anomaly_gate import split_checks
from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import artifacts, executor

_INPUTS = {
    executor.SCHEMA_KEY: standard_artifacts.Schema,
    executor.EXAMPLES_KEY: standard_artifacts.Examples,
    executor.STATISTICS_KEY: standard_artifacts.ExampleStatistics,
    executor.ANOMALIES_KEY: standard_artifacts.ExampleAnomalies,
    executor.MODEL_KEY: standard_artifacts.Model,
    executor.MODEL_RUN_KEY: standard_artifacts.ModelRun,
    executor.PREDICTIONS_KEY: predictor_artifacts.Predictions,
    executor.EVALUATION_KEY: standard_artifacts.ModelEvaluation,
    executor.BLESSING_KEY: standard_artifacts.ModelBlessing,
    executor.PUSHED_MODEL_KEY: standard_artifacts.PushedModel,
}


class ReportSpec(types.ComponentSpec):
    """Everything that a run makes in, a site out."""

    PARAMETERS = {
        executor.THRESHOLDS_KEY: component_spec.ExecutionParameter(type=str),
        "source_fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        key: component_spec.ChannelParameter(type=artifact_type)
        for key, artifact_type in _INPUTS.items()
    }
    OUTPUTS = {executor.REPORT_KEY: component_spec.ChannelParameter(type=artifacts.Report)}


class Report(base_component.BaseComponent):
    """Writes a site about data, training, evaluation and gates.

    Component `outputs` contains:
    - `report`: Report.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        schema: types.BaseChannel,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        anomalies: types.BaseChannel,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        predictions: types.BaseChannel,
        evaluation: types.BaseChannel,
        blessing: types.BaseChannel,
        pushed_model: types.BaseChannel,
        thresholds: split_checks.Thresholds,
        source_fingerprint: str,
    ):
        """Takes the outputs of the other components, each a channel with one artifact.

        Args:
          thresholds: AnomalyGate's.
          source_fingerprint: of the executor's source.
        """
        super().__init__(
            ReportSpec(
                schema=schema,
                examples=examples,
                statistics=statistics,
                anomalies=anomalies,
                model=model,
                model_run=model_run,
                predictions=predictions,
                evaluation=evaluation,
                blessing=blessing,
                pushed_model=pushed_model,
                thresholds=json.dumps(thresholds, sort_keys=True),
                source_fingerprint=source_fingerprint,
                report=types.Channel(type=artifacts.Report),
            )
        )
