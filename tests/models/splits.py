"""Splits for tests: in memory, and as the records that Transform writes."""

import os

import numpy as np
import tensorflow as tf

from muwnet_fer.models.muwnet import examples

FEATURE_SPEC = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "emotion": tf.io.FixedLenFeature([], tf.int64),
}


def make_split(size: int, seed: int) -> examples.Split:
    """Returns noisy faces of which each shows a bright bar: the higher, the lower its label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(size, dtype=np.int64) % 7
    faces = rng.integers(0, 100, (size, 48, 48), dtype=np.uint8)
    for face, label in zip(faces, labels, strict=True):
        face[6 * label : 6 * label + 6] += 150
    return examples.Split(tf.constant(faces), tf.constant(labels))


def write_records(path: str | os.PathLike, faces: np.ndarray, labels) -> None:
    """Writes faces uint8 [n, 48, 48] and their labels as gzipped TFRecords."""
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for face, label in zip(faces, labels, strict=True):
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[face.tobytes()]))
            emotion = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            features = tf.train.Features(feature={"image": image, "emotion": emotion})
            writer.write(tf.train.Example(features=features).SerializeToString())
