"""Rows -> Examples: one checking pass over the CSV, then one writing pass."""

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import cv2
import tensorflow as tf
from tfx.components.example_gen import base_example_gen_executor
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from muwnet_fer.data import csv_file, fer2013, image_statistics


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Writes an Example for every row, or none where a row is malformed."""

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.pvalue.PCollection]:
        """Returns the serialized Examples by split.

        Raises:
          MalformedCsvError: before anything is written.
        """
        path = csv_path(exec_properties)
        train_digests = csv_file.check(path)
        # One reader reads the file in order: Beam's own text source knows no row numbers.
        splits = (
            pipeline
            | "File" >> beam.Create([str(path)])
            | "RowsToExamples"
            >> beam.FlatMap(generate_examples, train_digests).with_outputs(*fer2013.SPLITS)
        )
        return {split: splits[split] for split in fer2013.SPLITS}

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Not used: GenerateExamplesByBeam makes all splits in one pass."""
        raise TypeError("Fer2013ExampleGen reads all splits in one pass")


def csv_path(exec_properties: dict[str, Any]) -> pathlib.Path:
    """Returns the path of the one CSV that input_config names, links followed."""
    input_config = example_gen_pb2.Input()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.INPUT_CONFIG_KEY], input_config
    )
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    return pathlib.Path(base, input_config.splits[0].pattern).resolve()


def generate_examples(
    path: str, train_digests: frozenset[bytes]
) -> Iterator[beam.pvalue.TaggedOutput]:
    """Yields the serialized Example of each row, tagged with its split."""
    for row in csv_file.read_rows(path):
        example = row_to_example(row, csv_file.digest(row.image) in train_digests)
        yield beam.pvalue.TaggedOutput(row.split, example.SerializeToString())


def row_to_example(row: csv_file.Row, seen_in_training: bool) -> tf.train.Example:
    """Returns the Example of a row; its image is a PNG with exactly the row's pixels."""
    # TFX's dict_to_example would drop label 0 (angry) and decode image bytes as text.
    statistics = image_statistics.compute_statistics(row.image)
    _, png = cv2.imencode(".png", row.image)
    features = {
        fer2013.IMAGE_KEY: _bytes_feature(png.tobytes()),
        fer2013.LABEL_KEY: _int64_feature(row.emotion),
        fer2013.ROW_KEY: _int64_feature(row.number),
        fer2013.SEEN_IN_TRAINING_KEY: _int64_feature(int(seen_in_training)),
    }
    for statistic, value in statistics.items():
        features[statistic] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        bucket = fer2013.bucket(statistic, value)
        features[fer2013.bucket_key(statistic)] = _bytes_feature(bucket.encode())
    return tf.train.Example(features=tf.train.Features(feature=features))


def _bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64_feature(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
