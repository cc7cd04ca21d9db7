"""AnomalyGate: stops the run where ExampleValidator found an anomaly, which only reports it, or
where an evaluation split differs from train, which ExampleValidator does not compare.

No channel leads from here to Transform or Trainer: name the gate as their upstream node.
"""

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from muwnet_fer.components.anomaly_gate import executor, split_checks


class AnomalyGateSpec(types.ComponentSpec):
    """Takes anomalies, statistics and schema, gives nothing: it passes or fails."""

    PARAMETERS = {
        executor.THRESHOLDS_KEY: component_spec.ExecutionParameter(type=str),
        "source_fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.ANOMALIES_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        ),
        executor.STATISTICS_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
        executor.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {}


class AnomalyGate(base_component.BaseComponent):
    """Fails with a table of the anomalies, if there are any.

    Component `outputs` is empty.
    """

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        anomalies: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        thresholds: split_checks.Thresholds,
        source_fingerprint: str,
    ):
        """Takes ExampleValidator's anomalies, and the statistics and schema they were found with.

        Args:
          thresholds: {feature: {kind: value}}, see split_checks.py.
          source_fingerprint: of the executor's source.
        """
        super().__init__(
            AnomalyGateSpec(
                anomalies=anomalies,
                statistics=statistics,
                schema=schema,
                thresholds=json.dumps(thresholds, sort_keys=True),
                source_fingerprint=source_fingerprint,
            )
        )
