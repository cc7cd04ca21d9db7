"""Writes the site from the artifacts alone."""

import json
import pathlib
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from muwnet_fer.components.report import artifacts, site, sources

SCHEMA_KEY, EXAMPLES_KEY, STATISTICS_KEY, ANOMALIES_KEY = (
    "schema",
    "examples",
    "statistics",
    "anomalies",
)
MODEL_KEY, MODEL_RUN_KEY, PREDICTIONS_KEY = "model", "model_run", "predictions"
EVALUATION_KEY, BLESSING_KEY, PUSHED_MODEL_KEY = "evaluation", "blessing", "pushed_model"
REPORT_KEY = "report"
THRESHOLDS_KEY = "thresholds"


class Executor(base_executor.BaseExecutor):
    """Writes a Report."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads all of its inputs, writes `report`."""
        uris = {key: artifact_utils.get_single_uri(found) for key, found in input_dict.items()}
        blessing = artifact_utils.get_single_instance(input_dict[BLESSING_KEY])
        pushed = artifact_utils.get_single_instance(input_dict[PUSHED_MODEL_KEY])
        folder = pathlib.Path(artifact_utils.get_single_uri(output_dict[REPORT_KEY]))
        site.write(
            sources.Sources(
                schema=uris[SCHEMA_KEY],
                examples=uris[EXAMPLES_KEY],
                statistics=uris[STATISTICS_KEY],
                anomalies=uris[ANOMALIES_KEY],
                thresholds=json.loads(exec_properties[THRESHOLDS_KEY]),
                model=path_utils.serving_model_path(uris[MODEL_KEY]),
                model_run=uris[MODEL_RUN_KEY],
                predictions=uris[PREDICTIONS_KEY],
                evaluation=uris[EVALUATION_KEY],
                blessed=blessing.get_int_custom_property("blessed") == 1,
                pushed_version=pushed.get_string_custom_property("pushed_version") or None,
            ),
            folder / artifacts.SITE,
        )
