"""Transformed Examples -> tf.data batches for training. Augmentation is the model's own layer."""

import dataclasses

import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import preprocessing

_READ_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Split:
    """A split in memory: `dataset` yields (uint8 [48, 48], int64 label), `size` counts them."""

    dataset: tf.data.Dataset
    size: int


def load_split(file_patterns: list[str], feature_spec: dict) -> Split:
    """Reads gzipped TFRecords of transformed Examples, once, into tf.data's cache (2.3 kB a face).

    Args:
      file_patterns: glob patterns, as TFX's FnArgs gives them.
      feature_spec: of the transformed features.

    Raises:
      FileNotFoundError: where the patterns match no file.
      ValueError: where the files hold no Example.
    """

    def parse(records):
        features = tf.io.parse_example(records, feature_spec)
        return (
            preprocessing.decode_transformed(features[fer2013.IMAGE_KEY]),
            features[fer2013.LABEL_KEY],
        )

    files = [path for pattern in file_patterns for path in sorted(tf.io.gfile.glob(pattern))]
    if not files:
        raise FileNotFoundError(f"expected transformed Examples, got no file at {file_patterns}")
    dataset = (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .batch(_READ_BATCH)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        .unbatch()
        .cache()
    )
    size = int(dataset.reduce(0, lambda count, _: count + 1))  # fills the cache, too
    if not size:
        raise ValueError(f"expected transformed Examples, got none in {files}")
    return Split(dataset, size)


def batch_for_training(split: Split, batch_size: int, seed: int) -> tf.data.Dataset:
    """Yields shuffled (uint8 [batch, 48, 48], one-hot float32 [batch, 7]), anew each epoch.

    The remainder of less than a batch is left out: other images each epoch.
    """
    shuffled = split.dataset.shuffle(split.size, seed=seed)
    return _to_batches(shuffled, batch_size, drop_remainder=split.size >= batch_size)


def batch_for_validation(split: Split, batch_size: int) -> tf.data.Dataset:
    """Yields all of a split in order, as batch_for_training does."""
    return _to_batches(split.dataset, batch_size, drop_remainder=False)


def _to_batches(dataset, batch_size: int, drop_remainder: bool) -> tf.data.Dataset:
    def encode(images, labels):
        return images, tf.one_hot(labels, len(fer2013.EMOTIONS))

    return (
        dataset.batch(batch_size, drop_remainder=drop_remainder)
        .map(encode, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
