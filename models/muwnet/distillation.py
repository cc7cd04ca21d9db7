"""Distillation: what is learnt is a mixture of the labels and of a teacher's probabilities.

Hinton et al. 2015, arXiv:1503.02531. Many of FER2013's labels are wrong or one of several that
would do; networks of ours that were trained before know which.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import examples, export

_BATCH = 256


def predict(split: examples.Split, teachers: Sequence[export.ServingModule]) -> np.ndarray:
    """Returns the mean of the teachers' probabilities by ten views, float32 [n, 7].

    Args:
      teachers: one at least.
    """
    predicted = [
        np.mean([teacher.predict_ten_views(faces)["probabilities"] for teacher in teachers], axis=0)
        for faces in tf.data.Dataset.from_tensor_slices(split.faces).batch(_BATCH)
    ]
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
