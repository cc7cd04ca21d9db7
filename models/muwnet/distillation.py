"""Distillation: what is learnt is a mixture of the labels and of a teacher's probabilities.

Hinton et al. 2015, arXiv:1503.02531. Many of FER2013's labels are wrong or one of several that
would do; networks of ours that were trained before know which.
"""

from collections.abc import Sequence

import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import examples, export

_BATCH = 256


def blend(
    split: examples.Split, teachers: Sequence[export.ServingModule], share: float
) -> examples.Split:
    """Returns a split whose targets are the labels and the teachers' mean over ten views.

    Args:
      teachers: one at least.
      share: of the teachers in the targets, 0 to 1.
    """
    predicted = [
        tf.add_n([teacher.predict_ten_views(faces)["probabilities"] for teacher in teachers])
        for faces in tf.data.Dataset.from_tensor_slices(split.faces).batch(_BATCH)
    ]
    labels = tf.one_hot(split.labels, len(fer2013.EMOTIONS))
    with tf.device("CPU:0"):  # where tf.data reads it
        targets = (1 - share) * labels + share * tf.concat(predicted, axis=0) / len(teachers)
        return examples.Split(split.faces, split.labels, targets)
