"""Reading transformed Examples and batching them: nothing lost, nothing out of order, seeded."""

import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import examples
from muwnet_fer.tests.models import splits


def make_split(size: int) -> examples.Split:
    """Returns a split whose image i is filled with i and labelled i % 7."""
    faces = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None], (size, 48, 48))
    labels = np.arange(size, dtype=np.int64) % 7
    return examples.Split(tf.constant(faces), tf.constant(labels))


def list_order(batches: tf.data.Dataset) -> list[int]:
    """Goes through the batches and returns the positions that the images had in their split."""
    return [int(image[0, 0]) for images, _ in batches.as_numpy_iterator() for image in images]


def list_epochs(split, batch_size: int, seed: int, count: int, first: int = 0) -> list[list[int]]:
    """Returns the orders of `count` epochs of training on from one, read as Keras reads them."""
    batches = examples.batch_for_training(split, batch_size, seed, first)
    steps = examples.count_steps(split, batch_size)
    order = list_order(batches.take(count * steps))
    size = len(order) // count
    return [order[epoch * size : (epoch + 1) * size] for epoch in range(count)]


# === load_split ===


def test_load_split_yields_every_row_in_order_from_all_files(tmp_path):
    rng = np.random.default_rng(1)
    faces = rng.integers(0, 256, (9, 48, 48), dtype=np.uint8)
    labels = [3, 0, 6, 1, 1, 5, 2, 4, 0]
    splits.write_records(tmp_path / "train-00000-of-00002.gz", faces[:4], labels[:4])
    splits.write_records(tmp_path / "train-00001-of-00002.gz", faces[4:7], labels[4:7])
    splits.write_records(tmp_path / "also.gz", faces[7:], labels[7:])
    patterns = [str(tmp_path / "train-*"), str(tmp_path / "also*")]
    split = examples.load_split(patterns, splits.FEATURE_SPEC)
    assert split.size == 9
    np.testing.assert_array_equal(split.faces, faces)
    assert split.labels.numpy().tolist() == labels
    assert (split.faces.dtype, split.labels.dtype) == (tf.uint8, tf.int64)


def test_load_split_reads_more_than_one_batch_of_records(tmp_path):
    size = 2500
    faces = np.zeros((size, 48, 48), np.uint8)
    faces[:, 0, 0], faces[:, 0, 1] = np.divmod(np.arange(size), 256)
    splits.write_records(tmp_path / "train.gz", faces, np.arange(size) % 7)
    split = examples.load_split([str(tmp_path / "train.gz")], splits.FEATURE_SPEC)
    np.testing.assert_array_equal(split.faces, faces)
    np.testing.assert_array_equal(split.labels, np.arange(size) % 7)


def test_load_split_reads_what_transform_wrote(transformed):
    split = examples.load_split(
        [transformed.examples], transformed.output.transformed_feature_spec()
    )
    assert split.size == 7
    by_label = dict(zip(split.labels.numpy(), split.faces.numpy(), strict=True))
    np.testing.assert_array_equal([by_label[i] for i in range(7)], transformed.faces)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        examples.load_split([str(tmp_path / "nowhere-*")], splits.FEATURE_SPEC)


def test_files_without_examples_are_named(tmp_path):
    splits.write_records(tmp_path / "empty.gz", [], [])
    with pytest.raises(ValueError, match=r"expected transformed Examples, got none in .*empty\.gz"):
        examples.load_split([str(tmp_path / "empty.gz")], splits.FEATURE_SPEC)


# === leave_out_constant ===


def test_images_of_one_grey_level_are_left_out_with_their_labels():
    faces = np.random.default_rng(1).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    faces[1], faces[4] = 0, 255
    faces[2] = 7
    faces[2, 47, 47] = 8  # one pixel makes a difference
    split = examples.Split(tf.constant(faces), tf.range(6, dtype=tf.int64))
    kept = examples.leave_out_constant(split)
    assert kept.labels.numpy().tolist() == [0, 2, 3, 5]
    np.testing.assert_array_equal(kept.faces, faces[[0, 2, 3, 5]])


def test_a_split_of_constant_images_alone_is_refused():
    with pytest.raises(ValueError, match="got 5 images of one grey level each"):
        examples.leave_out_constant(make_split(5))


# === digest ===


def test_digest_tells_faces_labels_and_order_apart():
    split = make_split(5)
    changed = split.faces.numpy()
    changed[4, 47, 47] += 1
    others = (
        examples.Split(tf.constant(changed), split.labels),
        examples.Split(split.faces, split.labels + tf.constant([0, 0, 0, 0, 1], tf.int64)),
        examples.Split(split.faces[::-1], split.labels[::-1]),
        make_split(4),
    )
    assert examples.digest(split) == examples.digest(make_split(5))
    assert len({examples.digest(split), *map(examples.digest, others)}) == 5
    assert examples.digest(split, others[0]) != examples.digest(others[0], split)


# === batch_for_training: targets and mixup ===


def test_targets_of_a_split_take_the_place_of_its_labels():
    split = make_split(20)
    targets = np.random.default_rng(1).dirichlet(np.ones(7), 20).astype(np.float32)
    taught = examples.Split(split.faces, split.labels, tf.constant(targets))
    for faces, learnt in examples.batch_for_training(taught, 8, 3).take(4):
        np.testing.assert_array_equal(learnt, targets[faces[:, 0, 0].numpy()])
    # Accuracy on them is still that of the labels.
    for faces, labels in examples.batch_for_validation(taught, 8):
        np.testing.assert_array_equal(np.argmax(labels, axis=1), faces[:, 0, 0].numpy() % 7)


def test_mixup_mixes_face_and_label_of_two_by_the_same_share():
    # Image i is filled with 40 i and labelled i, so that a label says what its face must be.
    levels = 40 * np.arange(7)
    faces = np.broadcast_to(levels.astype(np.uint8)[:, None, None], (7, 48, 48))
    split = examples.Split(tf.constant(faces), tf.constant(np.arange(7)))
    shares = []
    for mixed, labels in examples.batch_for_training(split, 7, 3, mixup=0.4).take(40):
        assert mixed.dtype == tf.uint8
        np.testing.assert_allclose(mixed[:, 0, 0], labels.numpy() @ levels, atol=0.51)
        assert {tuple(sorted(row)) for row in (labels.numpy() > 0).astype(int)} == {
            (0, 0, 0, 0, 0, 1, 1)
        }
        np.testing.assert_allclose(np.sum(labels, axis=0), 1, atol=1e-6)  # each face is there once
        shares.append(np.max(labels))
        np.testing.assert_allclose(np.max(labels, axis=1), shares[-1])
    assert 0.5 <= min(shares) < 0.6 < 0.95 < max(shares) < 1


def test_mixup_is_the_same_for_the_same_seed_and_epoch():
    split = splits.make_split(20, 1)

    def read(first_epoch):
        batches = examples.batch_for_training(split, 8, 5, first_epoch, mixup=0.3)
        return [(faces.numpy(), labels.numpy()) for faces, labels in batches.take(4)]

    later = read(1)[:2]
    for (faces, labels), (again, same) in zip(read(0)[2:], later, strict=True):
        np.testing.assert_array_equal(faces, again)
        np.testing.assert_array_equal(labels, same)


# === batch_for_training ===


def test_training_batches_are_shuffled_anew_each_epoch():
    epochs = list_epochs(make_split(64), 16, seed=1, count=4)
    for epoch in epochs:
        assert sorted(epoch) == list(range(64))
    assert len({tuple(order) for order in [range(64), *epochs]}) == 5


def test_training_batches_repeat_with_their_seed():
    split = make_split(64)
    epochs = list_epochs(split, 16, seed=1, count=3)
    assert list_epochs(split, 16, seed=1, count=3) == epochs
    assert list_epochs(split, 16, seed=2, count=3)[0] != epochs[0]


@pytest.mark.parametrize("size", [64, 70, 5])
def test_training_from_a_later_epoch_on_has_the_same_batches(size):
    split = make_split(size)
    epochs = list_epochs(split, 16, seed=1, count=5)
    assert list_epochs(split, 16, seed=1, count=2, first=3) == epochs[3:]


def test_training_drops_other_images_each_epoch():
    epochs = list_epochs(make_split(70), 16, seed=1, count=8)
    dropped = [frozenset(range(70)) - set(epoch) for epoch in epochs]
    assert {len(images) for images in dropped} == {70 % 16}
    assert len(set(dropped)) > 1


def test_training_keeps_a_split_smaller_than_a_batch():
    for epoch in list_epochs(make_split(5), 16, seed=1, count=3):
        assert sorted(epoch) == [0, 1, 2, 3, 4]


def test_labels_are_one_hot_and_stay_with_their_images():
    split = make_split(20)
    for batches in (
        examples.batch_for_training(split, 8, seed=1).take(4),
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
