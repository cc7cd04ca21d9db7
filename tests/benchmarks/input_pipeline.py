"""Images a second of the Trainer's input pipeline alone, beside those that the model trains.

    make bench-input

Both are measured in one process, one after the other: read the ratio, the machine is noisy.
"""

import os
import tempfile
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from muwnet_fer.data import fer2013  # noqa: E402
from muwnet_fer.models.muwnet import config as muwnet_config  # noqa: E402
from muwnet_fer.models.muwnet import examples  # noqa: E402
from muwnet_fer.tests.benchmarks import training  # noqa: E402

FACES = 8192
FEATURE_SPEC = {
    fer2013.IMAGE_KEY: tf.io.FixedLenFeature([], tf.string),
    fer2013.LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
}


def write_faces(path: str) -> None:
    """Writes transformed Examples of random pixels: speed does not depend on what they show."""
    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for number in range(FACES):
            feature = {
                fer2013.IMAGE_KEY: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[random.bytes(fer2013.PIXELS)])
                ),
                fer2013.LABEL_KEY: tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[number % len(fer2013.EMOTIONS)])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def measure_input(split: examples.Split, batch_size: int) -> float:
    """Returns images/s of one epoch of batches that nobody trains on."""
    steps = examples.count_steps(split, batch_size)
    batches = examples.batch_for_training(split, batch_size, seed=1).take(steps)
    started = time.perf_counter()
    images = sum(len(batch) for batch, _ in batches)
    return images / (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "faces.gz")
        write_faces(path)
        split = examples.load_split([path], FEATURE_SPEC)
    for name in ("SMOKE", "CPU"):
        config = getattr(muwnet_config, name)
        alone, training_rate = (
            measure_input(split, config.batch_size),
            training.measure_training(split, config),
        )
        print(
            f"{name.lower():6} input pipeline {alone:9,.0f} images/s, training "
            f"{training_rate:7,.0f} images/s, ratio {alone / training_rate:6.0f}"
        )


if __name__ == "__main__":
    main()
