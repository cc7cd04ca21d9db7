"""Transformed Examples -> tf.data batches for training. Augmentation is the model's own layer."""

import dataclasses
import hashlib

import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import preprocessing

_READ_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Split:
    """A split in the host's memory (2.3 kB a face): faces uint8 [n, 48, 48], labels int64 [n].

    `targets` float32 [n, 7] is what is learnt where that is not the labels alone.
    """

    faces: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor | None = None

    @property
    def size(self) -> int:
        """Number of faces."""
        return len(self.labels)


def load_split(file_patterns: list[str], feature_spec: dict) -> Split:
    """Reads gzipped TFRecords of transformed Examples, in the order of their files.

    Args:
      file_patterns: glob patterns, as TFX's FnArgs gives them.
      feature_spec: of the transformed features.

    Raises:
      FileNotFoundError: where the patterns match no file.
      ValueError: where the files hold no Example.
    """

    def parse(records):
        features = tf.io.parse_example(records, feature_spec)
        return (
            preprocessing.decode_transformed(features[fer2013.IMAGE_KEY]),
            features[fer2013.LABEL_KEY],
        )

    files = [path for pattern in file_patterns for path in sorted(tf.io.gfile.glob(pattern))]
    if not files:
        raise FileNotFoundError(f"expected transformed Examples, got no file at {file_patterns}")
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(_READ_BATCH)
    batches = list(records.map(parse, num_parallel_calls=tf.data.AUTOTUNE))
    if not batches:
        raise ValueError(f"expected transformed Examples, got none in {files}")
    with tf.device("CPU:0"):  # where tf.data reads them
        return Split(*(tf.concat(parts, axis=0) for parts in zip(*batches, strict=True)))


def leave_out_constant(split: Split) -> Split:
    """Returns a split without its images of one grey level.

    Raises:
      ValueError: where no image has more than one.
    """
    with tf.device("CPU:0"):
        levels = tf.reshape(split.faces, (split.size, -1))
        varied = tf.reduce_min(levels, axis=1) < tf.reduce_max(levels, axis=1)
        if tf.reduce_all(varied):
            return split
        if not tf.reduce_any(varied):
            raise ValueError(f"expected faces, got {split.size} images of one grey level each")
        return Split(tf.boolean_mask(split.faces, varied), tf.boolean_mask(split.labels, varied))


def digest(*splits: Split) -> str:
    """Returns a hash of faces, labels and their order."""
    content = hashlib.blake2b(digest_size=8)
    for split in splits:
        for start in range(0, split.size, _READ_BATCH):
            for values in (split.faces, split.labels):
                content.update(values[start : start + _READ_BATCH].numpy().tobytes())
    return content.hexdigest()


def count_steps(split: Split, batch_size: int) -> int:
    """Returns the batches of an epoch of training."""
    return max(1, split.size // batch_size)


def batch_for_training(
    split: Split, batch_size: int, seed: int, first_epoch: int = 0, mixup: float = 0.0
) -> tf.data.Dataset:
    """Yields shuffled (uint8 [batch, 48, 48], targets float32 [batch, 7]) of epoch after epoch.

    Without end: `count_steps` batches are an epoch. Its order depends on seed and epoch alone, so
    that a training goes on from any epoch as if it had come there by itself. The remainder of less
    than a batch is left out, other images each epoch; a split of less than a batch is one.

    With `mixup` (alpha of Zhang et al. 2018, arXiv:1710.09412) each face is mixed with another of
    its batch, and so are their labels; one share for a batch, at least one half, is drawn from
    Beta(alpha, alpha).
    """
    steps = count_steps(split, batch_size)
    batch_size = min(batch_size, split.size)

    def shuffle(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(split.size), seed=[seed, epoch])
        batches = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        shares = tf.ones(steps)
        if mixup:
            # A Beta is the share of one of two Gammas.
            gammas = tf.random.stateless_gamma((2, steps), seed=[seed, epoch], alpha=mixup)
            shares = gammas[0] / (gammas[0] + gammas[1])
        return tf.data.Dataset.from_tensor_slices((batches, tf.maximum(shares, 1 - shares)))

    def gather(positions, share):
        faces = tf.gather(split.faces, positions)
        if split.targets is None:
            targets = _encode(tf.gather(split.labels, positions))
        else:
            targets = tf.gather(split.targets, positions)
        if mixup:
            mixed = _mix(tf.cast(faces, tf.float32), share)
            faces, targets = tf.cast(tf.round(mixed), tf.uint8), _mix(targets, share)
        return faces, targets

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(shuffle)
        .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def batch_for_validation(split: Split, batch_size: int) -> tf.data.Dataset:
    """Yields all of a split once, in order, in batches like batch_for_training's, of labels."""
    return (
        tf.data.Dataset.from_tensor_slices((split.faces, split.labels))
        .batch(batch_size)
        .map(lambda faces, labels: (faces, _encode(labels)), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _mix(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    # The batch was shuffled: the one behind is any other.
    return share * values + (1 - share) * tf.roll(values, 1, axis=0)


def _encode(labels: tf.Tensor) -> tf.Tensor:
    return tf.one_hot(labels, len(fer2013.EMOTIONS))
