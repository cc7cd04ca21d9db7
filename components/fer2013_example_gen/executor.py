"""Rows -> Examples: one checking pass over the data, then one writing pass."""

import contextlib
import math
import pathlib
from typing import Any

import cv2
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from muwnet_fer.data import fer2013, image_statistics, quarantine, rows
from muwnet_fer.data import source as data_source

PRIVATE_FRACTION_KEY, MAX_BAD_ROWS_KEY, MD5_KEY = "private_fraction", "max_bad_rows", "md5"
_ROWS_PER_FILE = 10_000


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes an Example for every good row; none where there are more bad rows than allowed.

    One process reads the rows in order and writes them in order, without Beam: a CSV cannot be read
    in parallel, Beam on one machine keeps all records in memory, and the order of the Examples is
    part of what a seed repeats.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises:
        MalformedDataError: before anything is written.
        """
        source = find_source(exec_properties)
        options = _read_options(exec_properties)
        check = data_source.check(source, int(options[MAX_BAD_ROWS_KEY]))
        if options[MD5_KEY] not in (None, check.identity.md5):
            raise rows.MalformedDataError(
                f"{', '.join(map(str, source.paths))}: expected the MD5 {options[MD5_KEY]}, got "
                f"{check.identity.md5}: the data changed since the run began; run again"
            )
        artifact = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        artifact.split_names = artifact_utils.encode_split_names(list(fer2013.SPLITS))
        examples_utils.set_payload_format(
            artifact, exec_properties[standard_component_specs.OUTPUT_DATA_FORMAT_KEY]
        )
        with contextlib.ExitStack() as stack:
            writers = {
                split: stack.enter_context(
                    contextlib.closing(
                        SplitWriter(artifact_utils.get_split_uri([artifact], split), count)
                    )
                )
                for split, count in check.identity.row_counts.items()
            }
            for row in data_source.read_rows(source):
                seen_in_training = rows.digest(row.image) in check.train_digests
                writers[row.split].write(row_to_example(row, seen_in_training))
        if check.faults.count:
            quarantine.write(check.faults.first, pathlib.Path(artifact.uri))


class SplitWriter:
    """Writes Examples into gzipped TFRecords of at most 10,000 each, named as TFX names them.

    Args:
      folder: of the split, made here.
      count: how many Examples will come.
    """

    def __init__(self, folder: str, count: int):
        self._folder, self._files = folder, math.ceil(count / _ROWS_PER_FILE)
        self._written = 0
        self._writer: tf.io.TFRecordWriter | None = None
        tf.io.gfile.makedirs(folder)

    def write(self, example: tf.train.Example) -> None:
        """Appends one Example."""
        if self._written % _ROWS_PER_FILE == 0:
            self.close()
            name = f"data_tfrecord-{self._written // _ROWS_PER_FILE:05}-of-{self._files:05}.gz"
            self._writer = tf.io.TFRecordWriter(f"{self._folder}/{name}", "GZIP")
        self._writer.write(example.SerializeToString())
        self._written += 1

    def close(self) -> None:
        """Ends the file that is being written."""
        if self._writer:
            self._writer.close()


def find_source(exec_properties: dict[str, Any]) -> data_source.Source:
    """Returns what input_base and input_config name, links followed."""
    input_config = example_gen_pb2.Input()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.INPUT_CONFIG_KEY], input_config
    )
    base = pathlib.Path(exec_properties[standard_component_specs.INPUT_BASE_KEY])
    (split,) = input_config.splits
    paths = [path.resolve() for path in sorted(base.glob(split.pattern))]
    return data_source.find(paths, _read_options(exec_properties)[PRIVATE_FRACTION_KEY])


def _read_options(exec_properties: dict[str, Any]) -> struct_pb2.Struct:
    custom_config, options = example_gen_pb2.CustomConfig(), struct_pb2.Struct()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], custom_config
    )
    custom_config.custom_config.Unpack(options)
    return options


def row_to_example(row: rows.Row, seen_in_training: bool) -> tf.train.Example:
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
