"""Predictor's file: every bit of the probabilities comes back, split by split."""

import json

import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from muwnet_fer.components.fer2013_example_gen import executor as example_gen
from muwnet_fer.components.predictor import artifacts, executor
from muwnet_fer.data import rows


def make_split(count: int, seed: int) -> artifacts.PredictedSplit:
    random = np.random.default_rng(seed)
    return artifacts.PredictedSplit(
        np.arange(count),
        random.integers(0, 7, count),
        random.integers(0, 2, count),
        *random.dirichlet(np.ones(7) / 3, (2, count)).astype(np.float32),
    )


def assert_equal(ours, theirs):
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.seen_in_training, theirs.seen_in_training)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    np.testing.assert_array_equal(ours.ten_views, theirs.ten_views)
    assert ours.probabilities.dtype == ours.ten_views.dtype == np.float32


def test_written_predictions_are_read_back_to_the_bit(tmp_path):
    public, private = make_split(100, seed=1), make_split(50, seed=2)
    artifacts.write(str(tmp_path), [("public_test", public), ("private_test", private)])
    assert_equal(artifacts.read(str(tmp_path), "public_test"), public)
    assert_equal(artifacts.read(str(tmp_path), "private_test"), private)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    emotions = "angry,disgust,fear,happy,sad,surprise,neutral"
    ten_views = ",".join(f"{emotion}_ten_views" for emotion in emotions.split(","))
    assert header == f"row,split,emotion,seen_in_training,{emotions},{ten_views}"


class Brightness(tf.Module):
    """A model whose every "probability" is the face's brightness; of ten views, twice as much."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples):
        spec = {"brightness": tf.io.FixedLenFeature([], tf.float32)}
        brightness = tf.io.parse_example(examples, spec)["brightness"]
        return {"probabilities": brightness[:, tf.newaxis] * tf.ones((1, 7))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def ten_views(self, examples):
        return {"probabilities": 2 * self.serving_default(examples)["probabilities"]}


def test_executor_predicts_the_named_splits_sorted_by_row(tmp_path):
    module = Brightness()
    tf.saved_model.save(
        module,
        str(tmp_path / "model" / "Format-Serving"),
        signatures={"serving_default": module.serving_default, "ten_views": module.ten_views},
    )
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "public_test"])
    folder = tmp_path / "examples" / "Split-public_test"
    folder.mkdir(parents=True)
    numbers = [9, 3, 300, 4]
    with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
        for number in numbers:
            image = np.full((48, 48), number % 256, np.uint8)
            face = rows.Row(number, number % 7, image, "public_test")
            writer.write(example_gen.row_to_example(face, number == 4).SerializeToString())
    model, predictions = standard_artifacts.Model(), artifacts.Predictions()
    model.uri, predictions.uri = str(tmp_path / "model"), str(tmp_path / "predictions")
    (tmp_path / "predictions").mkdir()
    executor.Executor().Do(
        {"examples": [examples], "model": [model]},
        {"predictions": [predictions]},
        {"splits": json.dumps(["public_test"])},
    )
    predicted = artifacts.read(predictions.uri, "public_test")
    assert predicted.rows.tolist() == [3, 4, 9, 300]
    assert predicted.labels.tolist() == [3, 4, 2, 6]
    assert predicted.seen_in_training.tolist() == [0, 1, 0, 0]
    assert predicted.probabilities[:, 0].tolist() == [3, 4, 9, 44]
    assert predicted.ten_views[:, 6].tolist() == [6, 8, 18, 88]
