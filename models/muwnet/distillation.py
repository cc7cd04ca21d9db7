"""Distillation: what is learnt is a mixture of the labels and of a teacher's probabilities.

Hinton et al. 2015, arXiv:1503.02531. Many of FER2013's labels are wrong or one of several that
would do; networks of ours that were trained before know which.
"""

import logging
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import examples, export

_BATCH = 256
_PROGRESS_SECONDS = 60

_LOGGER = logging.getLogger("muwnet_fer.training")


def predict(split: examples.Split, teachers: Sequence[export.ServingModule]) -> np.ndarray:
    """Returns the mean of the teachers' probabilities of faces and their mirror images.

    Ten views would take five times as long for little more (docs/accuracy.md).

    Args:
      teachers: one at least.

    Returns:
      float32 [n, 7].
    """
    predicted, last_line = [], time.monotonic()
    for faces in tf.data.Dataset.from_tensor_slices(split.faces).batch(_BATCH):
        views = (faces, tf.reverse(faces, axis=[2]))
        predicted.append(
            np.mean(
                [of.predict_faces(view)["probabilities"] for of in teachers for view in views],
                axis=0,
            )
        )
        if time.monotonic() - last_line >= _PROGRESS_SECONDS:
            last_line = time.monotonic()
            done = min(_BATCH * len(predicted), split.size)
            _LOGGER.info("    teachers: %s of %s faces", f"{done:,}", f"{split.size:,}")
    return np.concatenate(predicted)


def blend(split: examples.Split, predicted: np.ndarray, share: float) -> examples.Split:
    """Returns a split whose targets are its labels and what teachers predicted.

    Args:
      predicted: from `predict`.
      share: of the teachers in the targets, 0 to 1.
    """
    labels = np.eye(len(fer2013.EMOTIONS), dtype=np.float32)[split.labels]
    with tf.device("CPU:0"):  # where tf.data reads it
        targets = tf.constant((1 - share) * labels + share * predicted, tf.float32)
        return examples.Split(split.faces, split.labels, targets)
