"""Reads every split's anomalies, compares the splits, and raises what is found as one table."""

import json
from typing import Any

import tabulate
from absl import logging
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from muwnet_fer.components.anomaly_gate import split_checks

ANOMALIES_KEY, STATISTICS_KEY, SCHEMA_KEY = "anomalies", "statistics", "schema"
THRESHOLDS_KEY = "thresholds"

# Split, feature ("" for the whole split), anomaly, description.
TableRow = tuple[str, str, str, str]


class AnomalyError(ValueError):
    """Examples do not fit; the message is a table of split, feature and anomaly."""


class Executor(base_executor.BaseExecutor):
    """Passes or raises."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises:
        AnomalyError: where a split does not fit the schema, or train.
        ValueError: for thresholds that do not fit the schema.
        """
        rows = [
            *list_schema_anomalies(input_dict),
            *list_threshold_anomalies(input_dict, json.loads(exec_properties[THRESHOLDS_KEY])),
        ]
        if rows:
            table = tabulate.tabulate(
                rows, ("split", "feature", "anomaly", "found"), maxcolwidths=(None, None, 30, 60)
            )
            raise AnomalyError(f"{len(rows)} anomalies in the Examples\n{table}")


def list_schema_anomalies(input_dict: dict[str, list[types.Artifact]]) -> list[TableRow]:
    """Returns what ExampleValidator found."""
    artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES_KEY])
    rows = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = io_utils.get_only_uri_in_dir(artifact_utils.get_split_uri([artifact], split))
        anomalies = anomalies_pb2.Anomalies()
        anomalies.ParseFromString(io_utils.read_bytes_file(path))
        infos = [*sorted(anomalies.anomaly_info.items()), ("", anomalies.dataset_anomaly_info)]
        for feature, info in infos:
            rows += [
                (split, feature, reason.short_description, reason.description)
                for reason in info.reason
            ]
    return rows


def list_threshold_anomalies(
    input_dict: dict[str, list[types.Artifact]], thresholds: split_checks.Thresholds
) -> list[TableRow]:
    """Returns what the thresholds do not let pass; logs all that was measured."""
    schema = io_utils.SchemaReader().read(
        io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict[SCHEMA_KEY]))
    )
    split_checks.check_thresholds(thresholds, schema)
    artifact = artifact_utils.get_single_instance(input_dict[STATISTICS_KEY])
    statistics = {
        split: stats_artifact_utils.load_statistics(artifact, split).proto()
        for split in artifact_utils.decode_split_names(artifact.split_names)
    }
    rows = []
    for split, finding in split_checks.measure(statistics, schema, thresholds):
        logging.info("%s, %s: %s", split, finding.feature, finding.found)
        if not finding.passed:
            rows.append((split, finding.feature, finding.anomaly, finding.found))
    return rows
