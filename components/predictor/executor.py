"""Runs `serving_default`, the signature of TFMA and servers, and `ten_views` over Examples."""

import json
from typing import Any

import numpy as np
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from muwnet_fer.components.predictor import artifacts
from muwnet_fer.data import fer2013

EXAMPLES_KEY, MODEL_KEY, PREDICTIONS_KEY = "examples", "model", "predictions"
SPLITS_KEY = "splits"
_BATCH = 256
_SIGNATURES = ("serving_default", "ten_views")
_TRUTH_KEYS = (fer2013.ROW_KEY, fer2013.LABEL_KEY, fer2013.SEEN_IN_TRAINING_KEY)
_TRUTH_SPEC = {key: tf.io.FixedLenFeature([], tf.int64) for key in _TRUTH_KEYS}


class Executor(base_executor.BaseExecutor):
    """Writes the Predictions of the splits it is told."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads `examples` and `model`, writes `predictions`."""
        model_artifact = artifact_utils.get_single_instance(input_dict[MODEL_KEY])
        model = tf.saved_model.load(path_utils.serving_model_path(model_artifact.uri))
        predicted = []
        for split in json.loads(exec_properties[SPLITS_KEY]):
            uri = artifact_utils.get_split_uri(input_dict[EXAMPLES_KEY], split)
            files = sorted(tf.io.gfile.glob(io_utils.all_files_pattern(uri)))
            records = tf.data.TFRecordDataset(files, compression_type="GZIP")
            predicted.append((split, predict_split(model.signatures, records)))
        artifacts.write(artifact_utils.get_single_uri(output_dict[PREDICTIONS_KEY]), predicted)


def predict_split(signatures, records: tf.data.Dataset) -> artifacts.PredictedSplit:
    """Returns the predictions of a split, sorted by row.

    Args:
      signatures: `serving_default` and `ten_views`, string [N] ->
        {"probabilities": float32 [N, 7]} each.
      records: serialized raw Examples.
    """
    batches = []
    for batch in records.batch(_BATCH):
        truth = tf.io.parse_example(batch, _TRUTH_SPEC)
        predicted = [signatures[name](examples=batch)["probabilities"] for name in _SIGNATURES]
        batches.append([*(truth[key] for key in _TRUTH_KEYS), *predicted])
    rows, *others = (np.concatenate(column) for column in zip(*batches, strict=True))
    order = np.argsort(rows)
    return artifacts.PredictedSplit(rows[order], *(values[order] for values in others))
