"""Reads what TFX keeps in a folder for each split."""

import pathlib

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from muwnet_fer.data import fer2013

_PREFIX = "Split-"


def find(uri: str) -> dict[str, pathlib.Path]:
    """Returns the folder of each split of an artifact: FER2013's in their order, then others."""
    folders = {path.name.removeprefix(_PREFIX): path for path in pathlib.Path(uri).glob("Split-*")}
    order = {split: number for number, split in enumerate(fer2013.SPLITS)}
    return {
        split: folders[split]
        for split in sorted(folders, key=lambda split: (order.get(split, len(order)), split))
    }


def read_statistics(uri: str) -> dict[str, statistics_pb2.DatasetFeatureStatisticsList]:
    """Returns StatisticsGen's statistics by split."""
    return {
        split: tfdv.load_stats_binary(str(folder / "FeatureStats.pb"))
        for split, folder in find(uri).items()
    }


def read_anomalies(uri: str) -> dict[str, anomalies_pb2.Anomalies]:
    """Returns ExampleValidator's anomalies by split."""
    return {
        split: anomalies_pb2.Anomalies.FromString((folder / "SchemaDiff.pb").read_bytes())
        for split, folder in find(uri).items()
    }
