"""Reads every split's anomalies and raises them as one table."""

from typing import Any

import tabulate
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

ANOMALIES_KEY = "anomalies"


class AnomalyError(ValueError):
    """Examples do not fit the schema; the message is a table of split, feature and anomaly."""


class Executor(base_executor.BaseExecutor):
    """Passes or raises."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises:
        AnomalyError: where a split has an anomaly.
        """
        artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES_KEY])
        found = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            path = io_utils.get_only_uri_in_dir(artifact_utils.get_split_uri([artifact], split))
            anomalies = anomalies_pb2.Anomalies()
            anomalies.ParseFromString(io_utils.read_bytes_file(path))
            found += [(split, *row) for row in list_anomalies(anomalies)]
        if found:
            table = tabulate.tabulate(
                found, ("split", "feature", "anomaly", "found"), maxcolwidths=(None, None, 30, 60)
            )
            raise AnomalyError(f"{len(found)} anomalies in the Examples\n{table}")


def list_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[tuple[str, str, str]]:
    """Returns (feature, anomaly, description) of each anomaly; feature "" for the data set's."""
    rows = []
    infos = [*sorted(anomalies.anomaly_info.items()), ("", anomalies.dataset_anomaly_info)]
    for feature, info in infos:
        rows += [(feature, reason.short_description, reason.description) for reason in info.reason]
    return rows
