"""Batch normalisation's statistics become those of the faces as they are."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model, precise_batch_norm


@pytest.fixture
def network(tiny_config) -> keras.Model:
    """Augments strongly, so that statistics of augmented faces are others."""
    augmentation = muwnet_config.Augmentation(light=0.5, erasing=1.0)
    return model.build_muwnet(dataclasses.replace(tiny_config, augmentation=augmentation))


def draw_faces(size: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).integers(0, 256, (size, 48, 48), np.uint8))


def list_normalizations(network) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_each_layer_gets_mean_and_variance_of_what_it_sees(network):
    faces = draw_faces(16)
    momentums = [layer.momentum for layer in list_normalizations(network)]
    precise_batch_norm.measure(network, faces, batch_size=16)
    for layer in list_normalizations(network):
        seen = keras.Model(network.input, layer.input)(faces, training=False).numpy()
        mean, variance = seen.mean(axis=(0, 1, 2)), seen.var(axis=(0, 1, 2))
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-2, atol=1e-5)
    assert [layer.momentum for layer in list_normalizations(network)] == momentums


def test_batches_are_averaged(network):
    faces = draw_faces(48)
    first = list_normalizations(network)[0]
    precise_batch_norm.measure(network, faces, batch_size=16)
    seen = keras.Model(network.input, first.input)(faces, training=False).numpy()
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)


def test_nothing_else_changes_and_it_is_the_same_each_time(network):
    kernels = [weight.numpy() for weight in network.trainable_weights]
    measured = []
    for _ in range(2):
        precise_batch_norm.measure(network, draw_faces(40), batch_size=16)
        measured.append([weight.numpy() for weight in network.non_trainable_weights])
    for before, weight in zip(kernels, network.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, weight.numpy())
    for one, other in zip(*measured, strict=True):
        np.testing.assert_array_equal(one, other)


def test_less_than_a_batch_is_one(network):
    faces = draw_faces(5)
    first = list_normalizations(network)[0]
    precise_batch_norm.measure(network, faces, batch_size=16)
    seen = keras.Model(network.input, first.input)(faces, training=False).numpy()
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)
