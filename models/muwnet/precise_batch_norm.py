"""Batch normalisation's statistics, taken once more: from faces as they are.

Those that a training keeps describe augmented faces, of which some are partly covered, and the
weights as they moved, not their averages (for such gaps see Touvron et al. 2019, arXiv:1906.06423;
for the statistics Wu and Johnson 2021, arXiv:2105.07576). docs/accuracy.md has what it gains.
"""

import keras
import numpy as np
import tensorflow as tf

from muwnet_fer.models.muwnet import model as muwnet_model

_MOST_BATCHES = 100  # means of more of them no longer change


def measure(model: keras.Model, faces: tf.Tensor, batch_size: int) -> None:
    """Sets each layer's mean and variance to those of `faces`, averaged over batches.

    Args:
      model: from `build_muwnet`, trained; changed in place.
      faces: uint8 [n, 48, 48].
      batch_size: as trained with. The remainder is left out; less than a batch are one.
    """
    pixels, stages = muwnet_model.split_behind_augmentation(model)
    normalizations = [
        layer for layer in stages.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    statistics = [
        weight for layer in normalizations for weight in (layer.moving_mean, layer.moving_variance)
    ]
    momentums = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0  # what a batch leaves behind is then its own

    @tf.function(reduce_retracing=True)
    def measure_batch(batch):
        stages(pixels(batch, training=False), training=True)

    sums = [np.zeros(weight.shape) for weight in statistics]
    count = min(_MOST_BATCHES, max(1, len(faces) // batch_size))
    # Drawn, since a CSV may be sorted by emotion.
    drawn = np.random.default_rng(0).permutation(len(faces))[: count * batch_size]
    for positions in np.array_split(drawn, count):
        measure_batch(tf.gather(faces, positions))
        sums = [total + weight.numpy() for total, weight in zip(sums, statistics, strict=True)]
    for weight, total in zip(statistics, sums, strict=True):
        weight.assign(total / count)
    for layer, momentum in zip(normalizations, momentums, strict=True):
        layer.momentum = momentum
