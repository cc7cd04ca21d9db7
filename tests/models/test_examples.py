"""Reading transformed Examples and batching them: nothing lost, nothing out of order, seeded."""

import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import examples

FEATURE_SPEC = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "emotion": tf.io.FixedLenFeature([], tf.int64),
}


def write_records(path, faces, labels) -> None:
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for face, label in zip(faces, labels, strict=True):
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[face.tobytes()]))
            emotion = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            features = tf.train.Features(feature={"image": image, "emotion": emotion})
            writer.write(tf.train.Example(features=features).SerializeToString())


def make_split(size: int) -> examples.Split:
    """Returns a split whose image i is filled with i and labelled i % 7."""
    faces = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None], (size, 48, 48))
    labels = np.arange(size, dtype=np.int64) % 7
    return examples.Split(tf.data.Dataset.from_tensor_slices((faces, labels)), size)


def list_order(batches: tf.data.Dataset) -> list[int]:
    """Goes through one epoch and returns the positions that the images had in their split."""
    return [int(image[0, 0]) for images, _ in batches.as_numpy_iterator() for image in images]


# === load_split ===


def test_load_split_yields_every_row_in_order_from_all_files(tmp_path):
    rng = np.random.default_rng(1)
    faces = rng.integers(0, 256, (9, 48, 48), dtype=np.uint8)
    labels = [3, 0, 6, 1, 1, 5, 2, 4, 0]
    write_records(tmp_path / "train-00000-of-00002.gz", faces[:4], labels[:4])
    write_records(tmp_path / "train-00001-of-00002.gz", faces[4:7], labels[4:7])
    write_records(tmp_path / "also.gz", faces[7:], labels[7:])
    patterns = [str(tmp_path / "train-*"), str(tmp_path / "also*")]
    split = examples.load_split(patterns, FEATURE_SPEC)
    assert split.size == 9
    rows = list(split.dataset.as_numpy_iterator())
    np.testing.assert_array_equal([image for image, _ in rows], faces)
    assert [int(label) for _, label in rows] == labels
    image, label = split.dataset.element_spec
    assert (image.dtype, image.shape.as_list()) == (tf.uint8, [48, 48])
    assert (label.dtype, label.shape.as_list()) == (tf.int64, [])


def test_load_split_reads_its_files_only_once(tmp_path):
    write_records(tmp_path / "train.gz", np.ones((3, 48, 48), np.uint8), [0, 1, 2])
    split = examples.load_split([str(tmp_path / "train.gz")], FEATURE_SPEC)
    (tmp_path / "train.gz").unlink()
    for _ in range(2):
        assert [int(label) for _, label in split.dataset] == [0, 1, 2]


def test_load_split_reads_what_transform_wrote(transformed):
    split = examples.load_split(
        [transformed.examples], transformed.output.transformed_feature_spec()
    )
    assert split.size == 7
    by_label = {int(label): image for image, label in split.dataset.as_numpy_iterator()}
    np.testing.assert_array_equal([by_label[i] for i in range(7)], transformed.faces)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        examples.load_split([str(tmp_path / "nowhere-*")], FEATURE_SPEC)


# === batch_for_training ===


def test_training_batches_are_shuffled_anew_each_epoch():
    batches = examples.batch_for_training(make_split(64), 16, seed=1)
    epochs = [list_order(batches) for _ in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(64))
    assert len({tuple(order) for order in [range(64), *epochs]}) == 5


def test_training_batches_repeat_with_their_seed():
    first, second, other = (
        examples.batch_for_training(make_split(64), 16, seed) for seed in (1, 1, 2)
    )
    epochs = [list_order(first) for _ in range(3)]
    assert [list_order(second) for _ in range(3)] == epochs
    assert list_order(other) != epochs[0]


def test_training_drops_other_images_each_epoch():
    batches = examples.batch_for_training(make_split(70), 16, seed=1)
    epochs = [list_order(batches) for _ in range(8)]
    dropped = [frozenset(range(70)) - set(epoch) for epoch in epochs]
    assert {len(images) for images in dropped} == {70 % 16}
    assert len(set(dropped)) > 1


def test_training_keeps_a_split_smaller_than_a_batch():
    batches = examples.batch_for_training(make_split(5), 16, seed=1)
    assert sorted(list_order(batches)) == [0, 1, 2, 3, 4]


def test_labels_are_one_hot_and_stay_with_their_images():
    split = make_split(20)
    for batches in (
        examples.batch_for_training(split, 8, seed=1),
        examples.batch_for_validation(split, 8),
    ):
        for images, labels in batches.as_numpy_iterator():
            assert (images.dtype, labels.dtype) == (np.uint8, np.float32)
            np.testing.assert_array_equal(labels, np.eye(7)[images[:, 0, 0] % 7])


# === batch_for_validation ===


def test_validation_yields_all_in_order_every_time():
    batches = examples.batch_for_validation(make_split(20), 8)
    assert [len(images) for images, _ in batches.as_numpy_iterator()] == [8, 8, 4]
    for _ in range(2):
        assert list_order(batches) == list(range(20))
