"""Ten views of a face: as it is, moved left and right, larger, smaller; each mirrored, too.

Averaging over them costs ten times as much (docs/accuracy.md says what it gains).
"""

import tensorflow as tf

# Pixels by which a face is moved, and cut or padded on each side before it gets its size again.
# Not the classical ten crops (Krizhevsky et al. 2012), which need a picture larger than the face.
# Blur would lose what averaging gains: whole pixels, bicubic (docs/accuracy.md).
_MARGIN = 2


def make_views(faces: tf.Tensor) -> tf.Tensor:
    """uint8 [N, 48, 48] -> uint8 [10, N, 48, 48]; the first view is the face itself."""
    side = faces.shape[1]
    padding = [[0, 0], [_MARGIN, _MARGIN], [_MARGIN, _MARGIN]]
    padded = tf.pad(faces, padding, "SYMMETRIC")
    rows = padded[:, _MARGIN:-_MARGIN]
    views = tf.stack(
        [
            faces,
            rows[..., : -2 * _MARGIN],
            rows[..., 2 * _MARGIN :],
            _resize(faces[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN], side),
            _resize(padded, side),
        ]
    )
    return tf.concat([views, tf.reverse(views, axis=[3])], axis=0)


def _resize(faces: tf.Tensor, side: int) -> tf.Tensor:
    resized = tf.image.resize(faces[..., tf.newaxis], [side, side], tf.image.ResizeMethod.BICUBIC)
    return tf.saturate_cast(tf.round(resized[..., 0]), tf.uint8)
