"""MuWNet's blocks (functions from tensor to tensor) and its augmentation (a Keras layer)."""

import math

import keras
import tensorflow as tf

BATCH_NORM_SUFFIX = "_bn"  # of the name of what normalises a convolution, behind its name
_BATCH_NORM_MOMENTUM = 0.9  # Keras' 0.99 lags behind in runs of tens of epochs
_ENLARGEMENT = 3  # odd, so that pixels keep their centres


def apply_convolution(x: keras.KerasTensor, filters: int, stride: int, name: str):
    """VGG's unit: max pooling where the stride is 2, then 3x3 convolution, BN, ReLU.

    Args:
      x: float32 [N, height, width, channels].
    """
    if stride > 1:
        x = keras.layers.MaxPooling2D(stride, padding="same", name=f"{name}_pool")(x)
    x = _convolve(x, filters, 3, 1, f"{name}_conv")
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def apply_separable(x: keras.KerasTensor, filters: int, stride: int, name: str):
    """MobileNet's unit: 3x3 depthwise convolution, BN, ReLU, 1x1 convolution, BN, ReLU.

    Args:
      x: float32 [N, height, width, channels].
    """
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        # He's initialisation for nine inputs; Keras counts those of all channels as one's own.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=math.sqrt(2 / 9)),
        name=f"{name}_depthwise",
    )(x)
    x = _normalize(x, f"{name}_depthwise")
    x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(x)
    x = _convolve(x, filters, 1, 1, f"{name}_pointwise")
    return keras.layers.ReLU(name=f"{name}_pointwise_relu")(x)


def apply_residual(x: keras.KerasTensor, filters: int, stride: int, name: str):
    """ResNet's basic unit: two 3x3 convolutions with BN beside a shortcut, then ReLU.

    Where the stride is 2 the shortcut is pooled before its 1x1 convolution, as in ResNet-D (He et
    al. 2019, arXiv:1812.01187). A 1x1 convolution with a stride would see a quarter of the values,
    and oneDNN's gradient of one differs from run to run on processors without AVX-512.

    Args:
      x: float32 [N, height, width, channels].
    """
    shortcut = x
    if stride > 1:
        pool = keras.layers.AveragePooling2D(stride, padding="same", name=f"{name}_shortcut_pool")
        shortcut = pool(shortcut)
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _convolve(shortcut, filters, 1, 1, f"{name}_shortcut")
    x = _convolve(x, filters, 3, stride, f"{name}_conv1")
    x = keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = _convolve(x, filters, 3, 1, f"{name}_conv2")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu2")(x)


def _convolve(x, filters: int, size: int, stride: int, name: str):
    x = keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,  # the batch normalisation's offset takes its place
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return _normalize(x, name)


def _normalize(x, name: str):
    return keras.layers.BatchNormalization(
        momentum=_BATCH_NORM_MOMENTUM, name=f"{name}{BATCH_NORM_SUFFIX}"
    )(x)


@keras.saving.register_keras_serializable("muwnet_fer")
class RandomAffine(keras.layers.Layer):
    """Flips, shifts, zooms and rotates each image at random, in training only.

    One affine map an image, so that pixels are interpolated once; the border's pixels fill what
    the map leaves open. Bilinear interpolation between the pixels of a face would blur it, as
    nothing blurs those that are served: it is done on a bicubic enlargement (docs/accuracy.md).

    Args:
      flip: mirror half of the images.
      shift: largest shift, as a fraction of the side, each axis.
      zoom: scale in 1 +- zoom, each axis.
      rotation: largest angle in degrees, either way.
      seed: of the layer's generator.
    """

    def __init__(self, flip, shift, zoom, rotation, seed, **kwargs):
        super().__init__(**kwargs)
        self.flip, self.shift, self.zoom, self.rotation = flip, shift, zoom, rotation
        self.seed = seed
        # XLA, which Keras turns on where there is a GPU, knows no op for projective maps.
        self.supports_jit = False
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """float32 [N, height, width, channels] in 0..1 -> the same."""
        if not training:
            return images
        size, height, width = keras.ops.shape(images)[0], images.shape[1], images.shape[2]
        enlarged = tf.image.resize(
            images,
            (_ENLARGEMENT * height, _ENLARGEMENT * width),
            tf.image.ResizeMethod.BICUBIC,
        )
        # Keras' affine_transform gives images of the size that it takes.
        transformed = tf.raw_ops.ImageProjectiveTransformV3(
            images=enlarged,
            transforms=self._sample_transforms(size, height, width),
            output_shape=(height, width),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        return keras.ops.clip(transformed, 0.0, 1.0)  # bicubic interpolation overshoots

    def _sample_transforms(self, size, height: int, width: int):
        """Returns float32 [size, 8]: the maps from output to enlarged pixels, about the centre."""

        def uniform(limit):
            return keras.random.uniform((size,), -limit, limit, seed=self.seed_generator)

        angle = uniform(self.rotation * math.pi / 180)
        scale_x, scale_y = 1 + uniform(self.zoom), 1 + uniform(self.zoom)
        shift_x, shift_y = uniform(self.shift * width), uniform(self.shift * height)
        if self.flip:
            scale_x = keras.ops.where(uniform(1.0) < 0, -scale_x, scale_x)
        cosine, sine = keras.ops.cos(angle), keras.ops.sin(angle)
        a0, a1 = cosine * scale_x, -sine * scale_y
        b0, b1 = sine * scale_x, cosine * scale_y
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a2 = centre_x + shift_x - a0 * centre_x - a1 * centre_y
        b2 = centre_y + shift_y - b0 * centre_x - b1 * centre_y
        zero = keras.ops.zeros_like(angle)
        to_pixels = keras.ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
        # A pixel's centre lies in the middle of those that it becomes.
        middle = (_ENLARGEMENT - 1) / 2
        return _ENLARGEMENT * to_pixels + [0.0, 0.0, middle, 0.0, 0.0, middle, 0.0, 0.0]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "flip": self.flip,
            "shift": self.shift,
            "zoom": self.zoom,
            "rotation": self.rotation,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("muwnet_fer")
class RandomLight(keras.layers.Layer):
    """Changes contrast about each image's mean and adds brightness at random, in training only.

    Args:
      light: contrast is multiplied by 1 +- light, and up to light / 2 is added or taken.
      seed: of the layer's generator.
    """

    def __init__(self, light, seed, **kwargs):
        super().__init__(**kwargs)
        self.light, self.seed = light, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """float32 [N, height, width, channels] in 0..1 -> the same."""
        if not training:
            return images
        shape = (keras.ops.shape(images)[0], 1, 1, 1)
        factor = keras.random.uniform(
            shape, 1 - self.light, 1 + self.light, seed=self.seed_generator
        )
        offset = keras.random.uniform(
            shape, -self.light / 2, self.light / 2, seed=self.seed_generator
        )
        mean = keras.ops.mean(images, axis=(1, 2, 3), keepdims=True)
        return keras.ops.clip((images - mean) * factor + mean + offset, 0.0, 1.0)

    def get_config(self):
        return {**super().get_config(), "light": self.light, "seed": self.seed}


@keras.saving.register_keras_serializable("muwnet_fer")
class RandomErasing(keras.layers.Layer):
    """Covers a rectangle of some images with one grey level, in training only.

    Zhong et al. 2020, arXiv:1708.04896; here each side is 10 to 50 % of the image's.

    Args:
      share: of the images that are covered.
      seed: of the layer's generator.
    """

    def __init__(self, share, seed, **kwargs):
        super().__init__(**kwargs)
        self.share, self.seed = share, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """float32 [N, height, width, channels] in 0..1 -> the same."""
        if not training:
            return images
        size, height, width = keras.ops.shape(images)[0], images.shape[1], images.shape[2]

        def uniform(low, high):
            return keras.random.uniform((size, 1, 1, 1), low, high, seed=self.seed_generator)

        covered = uniform(0.0, 1.0) < self.share
        for axis, pixels in ((1, height), (2, width)):
            side = uniform(0.1 * pixels, 0.5 * pixels)
            start = uniform(0.0, 1.0) * (pixels - side)
            shape = [1, 1, 1, 1]
            shape[axis] = pixels
            position = keras.ops.reshape(keras.ops.arange(pixels, dtype="float32"), shape)
            covered = keras.ops.logical_and(
                covered,
                keras.ops.logical_and(position >= start, position < start + side),
            )
        return keras.ops.where(covered, uniform(0.0, 1.0), images)

    def get_config(self):
        return {**super().get_config(), "share": self.share, "seed": self.seed}
