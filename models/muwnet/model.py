"""build_muwnet: the paper's network, from 48x48 to 150x150. docs/muwnet.md lists its layers."""

import keras
import numpy as np

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import layers

LOGITS = "logits"  # the layer whose output a temperature divides

_BLOCKS = {
    "convolution": layers.apply_convolution,
    "separable": layers.apply_separable,
    "residual": layers.apply_residual,
}
_INPUT_SIZES = range(fer2013.IMAGE_SIZE, 150 + 1)


def build_muwnet(config: muwnet_config.MuWNetConfig) -> keras.Model:
    """Returns the untrained network: uint8 [N, 48, 48] faces -> float32 [N, 7] probabilities.

    Raises:
      ValueError: for a size or block that MuWNet does not know.
    """
    if config.input_size not in _INPUT_SIZES:
        raise ValueError(f"expected input_size from 48 to 150, got {config.input_size}")
    side = fer2013.IMAGE_SIZE
    image = keras.Input((side, side), dtype="uint8", name=fer2013.IMAGE_KEY)

    # === Pixels ===
    # Augmented before the scaling up: the same faces for a tenth of the work.
    x = augment(image, config)
    if config.input_size != side:
        x = keras.layers.Resizing(config.input_size, config.input_size, name="resize")(x)

    # === Stages ===
    for position, stage in enumerate(config.stages, 1):
        if stage.block not in _BLOCKS:
            raise ValueError(f"expected a block of {tuple(_BLOCKS)}, got {stage.block!r}")
        for repeat in range(1, stage.repeats + 1):
            stride = stage.stride if repeat == 1 else 1
            name = f"stage{position}_{stage.block}{repeat}"
            x = _BLOCKS[stage.block](x, stage.filters, stride, name)

    # === Head ===
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(config.fully_connected, activation="relu", name="fully_connected")(x)
    x = keras.layers.Dropout(config.dropout, seed=config.seed, name="dropout")(x)
    x = keras.layers.Dense(len(fer2013.EMOTIONS), name=LOGITS)(x)
    x = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(image, x, name="muwnet")


def scale_down(model: keras.Model, size: int) -> keras.Model:
    """Returns a network of the same layers, weights included, that works on smaller faces.

    Args:
      model: from `build_muwnet`.
      size: side in pixels to which the augmented faces are scaled.
    """
    resize = keras.layers.Resizing(size, size, name="phase_resize")
    between = _get_input_of_stages(model)

    def call(layer, *args, **kwargs):
        result = layer(*args, **kwargs)
        return resize(result) if layer.output is between else result

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def split_behind_augmentation(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns what a network does to pixels and what follows, up to its logits; layers are shared.

    Args:
      model: from `build_muwnet`.
    """
    between = _get_input_of_stages(model)
    logits = model.get_layer(LOGITS).output
    return keras.Model(model.input, between), keras.Model(between, logits)


def _get_input_of_stages(model: keras.Model) -> keras.KerasTensor:
    return next(layer for layer in model.layers if layer.name.startswith("stage")).input


def augment(image: keras.KerasTensor, config: muwnet_config.MuWNetConfig) -> keras.KerasTensor:
    """Returns uint8 [N, 48, 48] faces as float32 [N, 48, 48, 1] in 0..1, augmented in training."""
    x = keras.ops.expand_dims(image, axis=-1)  # a Reshape would compute the shape at each call
    x = keras.layers.Rescaling(1 / 255, name="rescale")(x)
    augmentation = config.augmentation
    # Generators of one seed would give one layer's draws to another: turned faces, and no others,
    # would be covered (docs/accuracy.md: an error that runs 3 to 11 share).
    derived = np.random.SeedSequence(config.seed).generate_state(3) >> 1
    affine_seed, light_seed, erasing_seed = map(int, derived)
    x = layers.RandomAffine(
        augmentation.flip,
        augmentation.shift,
        augmentation.zoom,
        augmentation.rotation,
        seed=affine_seed,
        name="augment",
    )(x)
    if augmentation.light:
        x = layers.RandomLight(augmentation.light, seed=light_seed, name="light")(x)
    if augmentation.erasing:
        x = layers.RandomErasing(augmentation.erasing, seed=erasing_seed, name="erasing")(x)
    return x


def get_logits(model: keras.Model) -> keras.Model:
    """Returns the same network up to its logits: uint8 [N, 48, 48] -> float32 [N, 7]."""
    return keras.Model(model.input, model.get_layer(LOGITS).output, name="muwnet_logits")
