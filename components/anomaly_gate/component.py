"""AnomalyGate: stops the run where ExampleValidator found an anomaly, which only reports it.

No channel leads from here to Transform or Trainer: name the gate as their upstream node.
"""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from muwnet_fer.components.anomaly_gate import executor


class AnomalyGateSpec(types.ComponentSpec):
    """Takes anomalies, gives nothing: it passes or fails."""

    PARAMETERS = {"source_fingerprint": component_spec.ExecutionParameter(type=str)}
    INPUTS = {
        executor.ANOMALIES_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        )
    }
    OUTPUTS = {}


class AnomalyGate(base_component.BaseComponent):
    """Fails with a table of the anomalies, if there are any.

    Component `outputs` is empty.
    """

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, anomalies: types.BaseChannel, source_fingerprint: str):
        """Takes ExampleValidator's anomalies and the fingerprint of the executor's source."""
        super().__init__(
            AnomalyGateSpec(anomalies=anomalies, source_fingerprint=source_fingerprint)
        )
