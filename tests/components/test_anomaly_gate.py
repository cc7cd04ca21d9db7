"""AnomalyGate: Examples through the real StatisticsGen and ExampleValidator, then the gate."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.types import artifact_utils, standard_artifacts

from muwnet_fer.components.anomaly_gate import executor
from muwnet_fer.components.fer2013_example_gen import executor as example_gen
from muwnet_fer.data import rows

SCHEMA_FOLDER = pathlib.Path(__file__).parents[2] / "data"


def make_examples(count: int = 14) -> list[tf.train.Example]:
    random = np.random.default_rng(0)
    return [
        example_gen.row_to_example(
            rows.Row(
                number, number % 7, random.integers(0, 256, (48, 48)).astype(np.uint8), "train"
            ),
            seen_in_training=True,
        )
        for number in range(count)
    ]


def pass_gate(folder: pathlib.Path, spoil=None) -> None:
    """Runs statistics, validation and gate; `spoil` changes the Examples of public_test."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "public_test"])
    for split in ("train", "public_test"):
        path = pathlib.Path(artifact_utils.get_split_uri([examples], split))
        path.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path / "examples.gz"), "GZIP") as writer:
            for example in make_examples():
                if spoil and split == "public_test":
                    spoil(example.features.feature)
                writer.write(example.SerializeToString())
    schema = standard_artifacts.Schema()
    schema.uri = str(folder / "schema")
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_bytes((SCHEMA_FOLDER / "schema.pbtxt").read_bytes())
    statistics, anomalies = (
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.ExampleAnomalies(),
    )
    statistics.uri, anomalies.uri = str(folder / "statistics"), str(folder / "anomalies")
    statistics_gen.Executor().Do(
        {"examples": [examples], "schema": [schema]},
        {"statistics": [statistics]},
        {"exclude_splits": "[]"},
    )
    example_validator.Executor().Do(
        {"statistics": [statistics], "schema": [schema]},
        {"anomalies": [anomalies]},
        {"exclude_splits": "[]"},
    )
    executor.Executor().Do({"anomalies": [anomalies]}, {}, {})


def test_good_examples_pass(tmp_path):
    pass_gate(tmp_path)


def set_label_out_of_range(feature):
    feature["emotion"].int64_list.value[0] = 7


def leave_out_image(feature):
    del feature["image"]


def set_unknown_bucket(feature):
    feature["contrast_bucket"].bytes_list.value[0] = b"q6"


def set_brightness_out_of_range(feature):
    feature["brightness"].float_list.value[0] = 300


def double_label(feature):
    feature["emotion"].int64_list.value.append(1)


@pytest.mark.parametrize(
    ("spoil", "feature"),
    [
        (set_label_out_of_range, "emotion"),
        (leave_out_image, "image"),
        (set_unknown_bucket, "contrast_bucket"),
        (set_brightness_out_of_range, "brightness"),
        (double_label, "emotion"),
    ],
)
def test_anomaly_stops_and_names_split_and_feature(tmp_path, spoil, feature):
    with pytest.raises(executor.AnomalyError) as raised:
        pass_gate(tmp_path, spoil)
    header, *table = str(raised.value).splitlines()
    assert header.endswith("anomalies in the Examples")
    found = [line.split()[:2] for line in table[2:] if line.startswith("public_test")]
    assert ["public_test", feature] in found
    assert not any(line.startswith("train") for line in table)
