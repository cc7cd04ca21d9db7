"""What a report is drawn from: folders of artifacts, and what the local runner knows besides."""

import dataclasses
import functools
import json
import os
import pathlib
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.utils import io_utils

from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import duplicates as report_duplicates
from muwnet_fer.components.report import examples as report_examples
from muwnet_fer.components.report import run_facts, split_folders
from muwnet_fer.data import fer2013

_MANIFEST = os.path.join("assets.extra", "muwnet.json")


@dataclasses.dataclass(frozen=True)
class Sources:
    """Paths of the artifacts of one run, None for what it did not get to.

    `examples`, `statistics` and `anomalies` hold a folder `Split-<name>` for each split; `model` is
    the SavedModel itself.
    """

    schema: str | None = None
    examples: str | None = None
    statistics: str | None = None
    anomalies: str | None = None
    thresholds: dict[str, dict[str, float]] | None = None  # AnomalyGate's
    model: str | None = None
    model_run: str | None = None
    predictions: str | None = None
    evaluation: str | None = None
    blessed: bool | None = None
    pushed_version: str | None = None
    # Only where the local runner writes the report: ML Metadata keeps neither times nor failures.
    run: run_facts.RunFacts | None = None
    runs: tuple[run_facts.RunFacts, ...] = ()  # of the output folder, oldest first, this one too
    compared: "Sources | None" = None  # another run of the same data, with which to compare

    @functools.cached_property
    def manifest(self) -> dict[str, Any] | None:
        """What the model says of itself; None where it says nothing, or there is none."""
        return None if self.model is None else _read_json(self.model, _MANIFEST)

    @functools.cached_property
    def history(self) -> dict[str, list[float]] | None:
        """Of the training, figures by epoch; None where there was none."""
        if self.model_run is None:
            return None
        found = _read_json(self.model_run, "history.json")
        return found and found["history"]

    @functools.cached_property
    def schema_proto(self) -> schema_pb2.Schema | None:
        """What the rows were held against; None where the run did not get to it."""
        if self.schema is None:
            return None
        return tfdv.load_schema_text(io_utils.get_only_uri_in_dir(self.schema))

    @functools.cached_property
    def statistics_by_split(
        self,
    ) -> dict[str, statistics_pb2.DatasetFeatureStatisticsList] | None:
        """StatisticsGen's; None where the run did not get to it."""
        return None if self.statistics is None else split_folders.read_statistics(self.statistics)

    @functools.cached_property
    def anomalies_by_split(self) -> dict[str, anomalies_pb2.Anomalies] | None:
        """ExampleValidator's; None where the run did not get to it."""
        return None if self.anomalies is None else split_folders.read_anomalies(self.anomalies)

    @functools.cached_property
    def splits(self) -> dict[str, report_examples.SplitExamples] | None:
        """All Examples by split; None where there are none."""
        if self.examples is None:
            return None
        folders = split_folders.find(self.examples)
        return {split: report_examples.read(folder) for split, folder in folders.items()}

    @functools.cached_property
    def duplicates(self) -> report_duplicates.Duplicates | None:
        """Rows with the same pixels, and of one grey level; None where there are no Examples."""
        return None if self.splits is None else report_duplicates.find(self.splits)

    @functools.cached_property
    def private_test(self) -> predictor_artifacts.PredictedSplit | None:
        """The predictions by which the model was judged; None where there are none."""
        if self.predictions is None:
            return None
        return predictor_artifacts.read(self.predictions, fer2013.PRIVATE_TEST)


def _read_json(folder: str, name: str) -> dict[str, Any] | None:
    path = pathlib.Path(folder, name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
