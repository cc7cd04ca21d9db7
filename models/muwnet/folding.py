"""Batch normalisation folded into the convolution before it: fewer operations to serve."""

import keras
import numpy as np

from muwnet_fer.models.muwnet import layers


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a network of the same answers, but for rounding, without batch normalisation.

    Behind a convolution W it is gamma (W * x - mean) / sqrt(variance + epsilon) + beta, hence the
    convolution s W with the bias beta - s mean, where s = gamma / sqrt(variance + epsilon).

    Args:
      model: from `build_muwnet`, which follows each convolution by one; left as it is.

    Raises:
      ValueError: for a batch normalisation that no convolution of its name stands before.
    """
    normalizations = {
        layer.name.removesuffix(layers.BATCH_NORM_SUFFIX): layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    if unknown := normalizations.keys() - {layer.name for layer in model.layers}:
        raise ValueError(f"expected convolutions before batch normalisation, got {unknown}")

    def copy(layer):
        config = layer.get_config()
        if layer.name in normalizations:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, *args, **kwargs):
        is_folded = isinstance(layer, keras.layers.BatchNormalization)
        return args[0] if is_folded else layer(*args, **kwargs)

    folded = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in folded.layers:
        weights = model.get_layer(layer.name).get_weights()
        if layer.name in normalizations:
            weights = _fold(layer, *weights, normalizations[layer.name])
        layer.set_weights(weights)
    return folded


def _fold(
    layer: keras.layers.Layer, kernel: np.ndarray, normalization: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Returns the kernel and bias of a convolution that does both."""
    gamma, beta, mean, variance = normalization.get_weights()
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    # A depthwise kernel's channels are its last axis but one.
    of_kernel = scale[:, None] if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    return [kernel * of_kernel, beta - mean * scale]
