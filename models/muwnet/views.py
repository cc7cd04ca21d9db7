"""Ten views of a face: as it is, larger, smaller, turned either way; each mirrored, too. Averaging
over them costs ten times as much and gains half a point of accuracy or none (docs/accuracy.md).
"""

import math

import tensorflow as tf

from muwnet_fer.data import fer2013

COUNT = 10
# Not the classical ten crops (Krizhevsky et al. 2012), which need a picture larger than the face:
# on PublicTest shifts gained half of what these do (docs/accuracy.md).
_ZOOM, _DEGREES = 0.08, 8.0


def make_views(faces: tf.Tensor) -> tf.Tensor:
    """uint8 [N, 48, 48] -> uint8 [10, N, 48, 48]; the first view is the face itself."""
    pixels = tf.cast(faces, tf.float32)[..., tf.newaxis]
    # Scales of the map from a view's pixels to the face's: below one, the face gets larger.
    maps = [(1.0, 0.0), (1 - _ZOOM, 0.0), (1 + _ZOOM, 0.0), (1.0, _DEGREES), (1.0, -_DEGREES)]
    views = tf.stack([_map(pixels, scale, degrees) for scale, degrees in maps])
    views = tf.cast(tf.round(views[..., 0]), tf.uint8)
    return tf.concat([views, tf.reverse(views, axis=[3])], axis=0)


def _map(pixels: tf.Tensor, scale: float, degrees: float) -> tf.Tensor:
    """Scales and turns about the centre, bilinear, the border's pixels repeated outwards."""
    angle, centre = math.radians(degrees), (fer2013.IMAGE_SIZE - 1) / 2
    along, across = scale * math.cos(angle), scale * math.sin(angle)
    column = [along, -across, centre * (1 - along + across)]
    row = [across, along, centre * (1 - across - along)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.constant([[*column, *row, 0.0, 0.0]]),
        output_shape=pixels.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
