"""Batch normalisation in the convolutions: the same answers by fewer layers."""

import keras
import numpy as np

from muwnet_fer.models.muwnet import folding
from muwnet_fer.models.muwnet import model as muwnet_model


def test_a_folded_network_answers_as_the_network_does(tiny_config):
    keras.utils.set_random_seed(1)
    model = muwnet_model.build_muwnet(tiny_config)
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # As a training leaves them: none at its beginning is other than 0 or 1.
            shape = layer.gamma.shape
            ranges = ((0.5, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.1, 3.0))
            layer.set_weights([random.uniform(*limits, shape) for limits in ranges])
    before = model.get_weights()
    folded = folding.fold_batch_norm(model)

    light = np.linspace(0, 1, 16)[:, None, None]  # random faces are much alike
    faces = (light * random.integers(0, 256, (16, 48, 48))).astype(np.uint8)
    expected = muwnet_model.get_logits(model)(faces, training=False).numpy()
    assert np.ptp(expected, axis=0).max() > 0.1  # it tells the faces apart
    logits = muwnet_model.get_logits(folded)(faces, training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    kinds = [type(layer) for layer in folded.layers]
    assert keras.layers.DepthwiseConv2D in kinds
    assert keras.layers.BatchNormalization not in kinds
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
