"""preprocessing_fn: encoded image -> 48x48 uint8 face, in the graph that serving uses too.

TFX's Transform calls it; the transform graph goes into every exported model.
"""

import tensorflow as tf

from muwnet_fer.data import fer2013

_SIDE = fer2013.IMAGE_SIZE


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the transformed features of a batch of raw ones.

    Args:
      inputs: by feature key: image string [N, 1], emotion int64 [N, 1].

    Returns:
      image: string [N], the 2304 bytes of a uint8 [48, 48] face (Transform writes no uint8).
      emotion: int64 [N].
    """
    return {
        fer2013.IMAGE_KEY: _to_bytes(decode_images(inputs[fer2013.IMAGE_KEY][:, 0])),
        fer2013.LABEL_KEY: inputs[fer2013.LABEL_KEY][:, 0],
    }


def decode_images(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes PNG or JPEG of any size and colour: string [N] -> uint8 [N, 48, 48].

    An image that is 48x48 and grey comes out pixel by pixel as it went in.

    Raises:
      tf.errors.InvalidArgumentError: at run time, for bytes that are no image.
    """
    return tf.map_fn(
        _decode_image, encoded, fn_output_signature=tf.TensorSpec((_SIDE, _SIDE), tf.uint8)
    )


def decode_transformed(image: tf.Tensor) -> tf.Tensor:
    """Turns Transform's output back into pixels: string [N] -> uint8 [N, 48, 48]."""
    # The batch's size, not -1: bytes of another length are an error, an empty batch is none.
    return tf.reshape(tf.io.decode_raw(image, tf.uint8), (tf.shape(image)[0], _SIDE, _SIDE))


def _decode_image(encoded: tf.Tensor) -> tf.Tensor:
    grey = tf.io.decode_image(encoded, channels=1, expand_animations=False)
    grey = tf.ensure_shape(grey, (None, None, 1))
    # antialias averages when a photograph's face is scaled down; at 48x48 it changes nothing.
    resized = tf.image.resize(grey, (_SIDE, _SIDE), antialias=True)
    return tf.cast(tf.round(resized[:, :, 0]), tf.uint8)


def _to_bytes(faces: tf.Tensor) -> tf.Tensor:
    """uint8 [N, 48, 48] -> string [N]; the inverse of decode_transformed."""
    # A serialized uint8 tensor is a short header and then its raw bytes: TensorFlow has no op
    # that is encode_raw.
    serialized = tf.map_fn(tf.io.serialize_tensor, faces, fn_output_signature=tf.string)
    return tf.strings.substr(serialized, -fer2013.PIXELS, fer2013.PIXELS)
