"""Reads the Examples artifact: faces, labels and the slices that each face is in."""

import dataclasses
import glob
import pathlib

import cv2
import numpy as np
import tensorflow as tf

from muwnet_fer.data import fer2013

_BATCH = 1024
_INTEGER_KEYS = (fer2013.ROW_KEY, fer2013.LABEL_KEY, fer2013.SEEN_IN_TRAINING_KEY)
_BUCKET_KEYS = tuple(fer2013.bucket_key(statistic) for statistic in fer2013.STATISTICS_KEYS)
_SPEC = {
    **{key: tf.io.FixedLenFeature([], tf.int64) for key in _INTEGER_KEYS},
    **{key: tf.io.FixedLenFeature([], tf.string) for key in (fer2013.IMAGE_KEY, *_BUCKET_KEYS)},
}


@dataclasses.dataclass(frozen=True)
class SplitExamples:
    """A split, sorted by row: rows, labels and seen_in_training int64 [N] each, images PNG bytes
    [N], and buckets by their feature's key, str [N] each.
    """

    rows: np.ndarray
    labels: np.ndarray
    seen_in_training: np.ndarray
    images: np.ndarray
    buckets: dict[str, np.ndarray]

    def decode(self, index: int) -> np.ndarray:
        """Returns a face as uint8 [48, 48]."""
        return cv2.imdecode(np.frombuffer(self.images[index], np.uint8), cv2.IMREAD_GRAYSCALE)


def read(folder: pathlib.Path) -> SplitExamples:
    """Reads a split's gzipped TFRecords."""
    files = sorted(glob.glob(f"{glob.escape(str(folder))}/*.gz"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_BATCH)
    batches = [
        {key: values.numpy() for key, values in tf.io.parse_example(batch, _SPEC).items()}
        for batch in records
    ]
    columns = {key: np.concatenate([batch[key] for batch in batches]) for key in _SPEC}
    order = np.argsort(columns[fer2013.ROW_KEY])
    columns = {key: values[order] for key, values in columns.items()}
    buckets = {key: columns.pop(key).astype(str) for key in _BUCKET_KEYS}
    return SplitExamples(
        *(columns[key] for key in (*_INTEGER_KEYS, fer2013.IMAGE_KEY)), buckets=buckets
    )
