"""preprocessing_fn: encoded image -> 48x48 uint8 face, in the graph that serving uses too.

TFX's Transform calls it; the transform graph goes into every exported model.
"""

import tensorflow as tf

from muwnet_fer.data import fer2013

# 4096x4096: more than a face needs, yet 16 MB as grey pixels; some 50 MB within libjpeg while a
# progressive JPEG is decoded. What TensorFlow itself refuses starts at 2**29.
MAX_PIXELS = 2**24

_SIDE = fer2013.IMAGE_SIZE
_JPEG_START = b"\xff\xd8\xff"
# The signature, then length and name of the chunk that must be first; width and height follow.
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_HEAD = len(_PNG_START) + 8


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
    """Decodes PNG or JPEG of any colour, to MAX_PIXELS: string [N] -> uint8 [N, 48, 48].

    An image that is 48x48 and grey comes out pixel by pixel as it went in.

    Raises:
      tf.errors.InvalidArgumentError: at run time, for bytes that are no PNG or JPEG, and for an
        image of more than MAX_PIXELS before any is decoded.
    """
    return tf.map_fn(
        _decode_image,
        _check_headers(encoded),
        fn_output_signature=tf.TensorSpec((_SIDE, _SIDE), tf.uint8),
    )


def decode_transformed(image: tf.Tensor) -> tf.Tensor:
    """Turns Transform's output back into pixels: string [N] -> uint8 [N, 48, 48]."""
    # The batch's size, not -1: bytes of another length are an error, an empty batch is none.
    return tf.reshape(tf.io.decode_raw(image, tf.uint8), (tf.shape(image)[0], _SIDE, _SIDE))


def decode_through(transform, encoded: tf.Tensor) -> tf.Tensor:
    """Decodes as `decode_images`, by a transform graph that preprocessing_fn was written into.

    Args:
      transform: raw features -> transformed ones, as TFT's transform_features_layer.
      encoded: string [N].
    """
    transformed = transform({fer2013.IMAGE_KEY: encoded[:, tf.newaxis]})
    return decode_transformed(transformed[fer2013.IMAGE_KEY])


def _check_headers(encoded: tf.Tensor) -> tf.Tensor:
    """Gives string [N] back once every image's header says PNG or JPEG, 1 to MAX_PIXELS pixels."""
    head = tf.strings.substr(encoded, 0, _HEAD)
    head = tf.io.decode_raw(head, tf.uint8, fixed_length=_HEAD)  # short ones end in zeros
    is_png, is_jpeg = _starts_with(head, _PNG_START), _starts_with(head, _JPEG_START)
    # libjpeg finds a JPEG's sides: they may stand anywhere before the first scan.
    jpeg_shapes = tf.map_fn(
        tf.io.extract_jpeg_shape,
        tf.boolean_mask(encoded, is_jpeg),
        fn_output_signature=tf.TensorSpec((3,), tf.int32),
    )
    sides = tf.tensor_scatter_nd_update(
        _read_png_sides(head), tf.where(is_jpeg), tf.cast(jpeg_shapes[:, 1::-1], tf.int64)
    )
    # In floats: the product of two forged sides of 32 bits may wrap round as an integer.
    pixels = tf.reduce_prod(tf.cast(sides, tf.float64), axis=1)
    is_known = is_png | is_jpeg
    # What is neither has no sides.
    is_bounded = (pixels >= 1) & (pixels <= MAX_PIXELS) | ~is_known
    sizes = tf.strings.reduce_join(tf.strings.as_string(sides), axis=1, separator="x")
    kind = tf.fill(tf.shape(encoded), "something else")
    checks = [
        _assert_all(is_known, "expected PNG or JPEG, got", kind),
        _assert_all(is_bounded, f"expected at least 1 and at most {MAX_PIXELS} pixels, got", sizes),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(encoded)


def _starts_with(head: tf.Tensor, start: bytes) -> tf.Tensor:
    """uint8 [N, _HEAD] -> bool [N]."""
    return tf.reduce_all(head[:, : len(start)] == list(start), axis=1)


def _read_png_sides(head: tf.Tensor) -> tf.Tensor:
    """uint8 [N, _HEAD] -> width and height, int64 [N, 2]: four bytes each, the highest first."""
    digits = tf.reshape(tf.cast(head[:, len(_PNG_START) :], tf.int64), (-1, 2, 4))
    return tf.reduce_sum(digits * (2**24, 2**16, 2**8, 1), axis=2)


def _assert_all(good: tf.Tensor, expected: str, got: tf.Tensor) -> tf.Operation | None:
    """Fails where bool [N] is false, with what was got there, string [N], and the positions."""
    bad = tf.where(~good)[:, 0]
    message = [expected, tf.gather(got, bad), "as image", tf.strings.as_string(bad)]
    return tf.debugging.Assert(tf.reduce_all(good), message)


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
