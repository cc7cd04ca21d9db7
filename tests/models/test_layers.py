"""RandomAffine measured on blobs whose way through the map is known; the blocks' arithmetic."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import layers

SIDE = 48
CENTRE = (SIDE - 1) / 2


def make_affine(flip=False, shift=0.0, zoom=0.0, rotation=0.0, seed=1) -> layers.RandomAffine:
    return layers.RandomAffine(flip, shift, zoom, rotation, seed)


def draw_images(count: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    shape = (count, height, width, 1)
    return np.random.default_rng(7).uniform(0.2, 0.8, shape).astype(np.float32)


def draw_blobs(x: float, y: float, count: int, height: int = SIDE, width: int = SIDE):
    """Returns `count` equal black images, each with one soft bright blob around (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    return np.repeat(blob[np.newaxis, :, :, np.newaxis], count, axis=0).astype(np.float32)


def find_blobs(images) -> tuple[np.ndarray, np.ndarray]:
    """Returns the blobs' centres, x [N] and y [N]."""
    weights = np.asarray(images)[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: weights.shape[1], : weights.shape[2]]
    total = weights.sum(axis=(1, 2))
    return (weights * columns).sum(axis=(1, 2)) / total, (weights * rows).sum(axis=(1, 2)) / total


# === RandomAffine: where it leaves images alone ===


def test_without_ranges_and_flip_it_is_the_identity():
    images = draw_images(4)
    np.testing.assert_allclose(make_affine()(images, training=True), images, atol=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"training": False}])
def test_outside_of_training_images_stay_untouched(arguments):
    images = draw_images(4)
    augmented = make_affine(True, 0.2, 0.15, 15.0)(images, **arguments)
    np.testing.assert_array_equal(augmented, images)


# === RandomAffine: each of its maps ===


@pytest.mark.parametrize(("height", "width"), [(48, 48), (31, 20)])
def test_flip_gives_the_image_or_its_exact_mirror(height, width):
    images = draw_images(64, height, width)
    augmented = np.asarray(make_affine(flip=True)(images, training=True))
    same = np.abs(augmented - images).max(axis=(1, 2, 3)) < 1e-4
    mirrored = np.abs(augmented - images[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-4
    assert np.all(same ^ mirrored)
    # Half of 64: sixteen is four standard deviations off.
    assert 16 <= mirrored.sum() <= 48


def test_shift_keeps_to_its_share_of_each_side_and_uses_it():
    height, width, shift = 40, 60, 0.2
    images = draw_blobs(29.5, 19.5, 200, height, width)
    x, y = find_blobs(make_affine(shift=shift)(images, training=True))
    for moved, limit in ((x - 29.5, shift * width), (y - 19.5, shift * height)):
        assert np.abs(moved).max() <= limit + 0.1
        assert moved.max() > 0.9 * limit
        assert moved.min() < -0.9 * limit
    # The axes move independently of one another.
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.3


def test_rotation_keeps_to_its_degrees_about_the_centre():
    images = draw_blobs(CENTRE + 14, CENTRE, 200)
    x, y = find_blobs(make_affine(rotation=15.0)(images, training=True))
    np.testing.assert_allclose(np.hypot(x - CENTRE, y - CENTRE), 14, atol=0.1)
    degrees = np.degrees(np.arctan2(y - CENTRE, x - CENTRE))
    assert np.abs(degrees).max() <= 15 + 0.3
    assert degrees.max() > 13.5
    assert degrees.min() < -13.5


def test_zoom_keeps_to_its_scale_about_the_centre_on_each_axis():
    affine = make_affine(zoom=0.15)
    # A blob on the diagonal: its distances to the centre show both scales.
    images = draw_blobs(CENTRE + 12, CENTRE + 12, 200)
    x, y = find_blobs(affine(images, training=True))
    scales = 12 / np.stack([x - CENTRE, y - CENTRE])
    assert scales.max() <= 1.15 + 0.01
    assert scales.min() >= 0.85 - 0.01
    assert np.all(scales.max(axis=1) > 1.13)
    assert np.all(scales.min(axis=1) < 0.87)
    assert abs(np.corrcoef(scales)[0, 1]) < 0.3


def test_zoom_and_rotation_together_shear_nothing():
    # Equal seeds, equal maps: two blobs show where each map takes the two axes.
    columns = []
    for x, y in ((12, 0), (0, 12)):
        images = draw_blobs(CENTRE + x, CENTRE + y, 100)
        moved = find_blobs(make_affine(zoom=0.15, rotation=15.0)(images, training=True))
        columns.append((np.stack(moved, axis=-1) - CENTRE) / 12)
    from_output = np.linalg.inv(np.stack(columns, axis=-1))
    scales = np.linalg.norm(from_output, axis=1)
    assert scales.min() >= 0.85 - 0.01
    assert scales.max() <= 1.15 + 0.01
    axes = from_output / scales[:, np.newaxis]
    np.testing.assert_allclose((axes[:, :, 0] * axes[:, :, 1]).sum(axis=1), 0, atol=0.02)
    assert np.degrees(np.abs(np.arctan2(axes[:, 1, 0], axes[:, 0, 0]))).max() <= 15 + 0.5


def test_centre_stays_where_it_is_but_for_the_shift():
    images = draw_blobs(CENTRE, CENTRE, 50)
    x, y = find_blobs(make_affine(True, 0.0, 0.15, 15.0)(images, training=True))
    np.testing.assert_allclose(x, CENTRE, atol=0.1)
    np.testing.assert_allclose(y, CENTRE, atol=0.1)


def test_border_pixels_fill_what_a_shift_leaves_open():
    ramp = np.broadcast_to(np.linspace(0.3, 0.9, SIDE), (50, SIDE, SIDE))
    images = ramp[..., np.newaxis].astype(np.float32)  # no dark pixel anywhere
    augmented = np.asarray(make_affine(True, 0.4, 0.3, 45.0)(images, training=True))
    assert augmented.shape == images.shape
    assert augmented.dtype == np.float32
    # The bicubic enlargement overshoots a little where the ramp ends.
    assert augmented.min() >= 0.3 - 0.005
    assert augmented.max() <= 0.9 + 0.005
    assert np.abs(augmented - images).max() > 0.3


def test_moved_faces_stay_sharper_than_between_their_pixels():
    stripes = 0.5 + 0.3 * np.cos(2 * np.pi * np.arange(SIDE) / 3)
    images = np.tile(stripes, (200, SIDE, 1))[..., np.newaxis].astype(np.float32)
    augmented = np.asarray(make_affine(shift=0.05)(images, training=True))
    inner = np.s_[:, 10:-10, 10:-10]
    contrasts = augmented[inner].std(axis=(1, 2, 3)) / images[inner].std()
    # Half way between two pixels bilinear interpolation leaves half of it.
    assert contrasts.min() > 0.6


def test_grey_levels_stay_between_black_and_white():
    images = np.random.default_rng(7).integers(0, 2, (50, SIDE, SIDE, 1)).astype(np.float32)
    augmented = np.asarray(make_affine(True, 0.2, 0.15, 15.0)(images, training=True))
    assert augmented.min() >= 0.0
    assert augmented.max() <= 1.0


# === RandomAffine: randomness ===


def test_images_of_a_batch_go_through_different_maps():
    images = np.repeat(draw_images(1), 16, axis=0)
    augmented = np.asarray(make_affine(shift=0.2)(images, training=True))
    assert len({image.tobytes() for image in augmented}) == 16


def test_equal_seeds_give_equal_sequences_and_each_call_goes_on():
    images = draw_images(4)
    first, second, other = (make_affine(True, 0.2, 0.15, 15.0, seed) for seed in (1, 1, 2))
    sequence = [np.asarray(first(images, training=True)) for _ in range(3)]
    for expected in sequence:
        np.testing.assert_array_equal(second(images, training=True), expected)
    assert np.abs(sequence[0] - sequence[1]).max() > 0.1
    assert np.abs(np.asarray(other(images, training=True)) - sequence[0]).max() > 0.1


# === RandomAffine: in graphs, in files ===


def test_it_draws_anew_at_every_call_of_a_function():
    affine, images = make_affine(shift=0.2), draw_images(2)
    augment = tf.function(
        lambda batch: affine(batch, training=True),
        input_signature=[tf.TensorSpec([None, SIDE, SIDE, 1])],
    )
    first, second = augment(images).numpy(), augment(images).numpy()
    assert first.shape == images.shape
    assert np.abs(first - second).max() > 0.1


def test_it_draws_anew_for_every_batch_of_a_dataset():
    affine, images = make_affine(shift=0.2), np.repeat(draw_images(1), 6, axis=0)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    augmented = dataset.map(lambda batch: affine(batch, training=True))
    batches = [batch.numpy() for batch in augmented]
    assert [batch.shape for batch in batches] == [(4, SIDE, SIDE, 1), (2, SIDE, SIDE, 1)]
    assert len({image.tobytes() for batch in batches for image in batch}) == 6


def test_config_round_trip_keeps_every_argument():
    affine = layers.RandomAffine(
        flip=False, shift=0.1, zoom=0.3, rotation=5.0, seed=8, name="augment"
    )
    copy = layers.RandomAffine.from_config(affine.get_config())
    arguments = {"flip": False, "shift": 0.1, "zoom": 0.3, "rotation": 5.0, "seed": 8}
    assert {name: copy.get_config()[name] for name in arguments} == arguments
    assert copy.name == "augment"
    images = draw_images(3)
    np.testing.assert_array_equal(copy(images, training=True), affine(images, training=True))


def test_symbolic_shape_is_the_input_s():
    symbolic = make_affine(True, 0.2, 0.15, 15.0)(keras.Input((32, 20, 3)))
    assert symbolic.shape == (None, 32, 20, 3)


# === RandomLight and RandomErasing ===


@pytest.mark.parametrize(
    "layer", [layers.RandomLight(0.4, seed=1), layers.RandomErasing(1, seed=1)]
)
def test_outside_of_training_light_and_erasing_do_nothing(layer):
    images = draw_images(4)
    np.testing.assert_array_equal(layer(images), images)
    assert np.abs(np.asarray(layer(images, training=True)) - images).max() > 0.05


def test_light_changes_contrast_about_the_mean_and_brightness():
    images = draw_images(256) * 0.2 + 0.4  # nothing is clipped
    lit = np.asarray(layers.RandomLight(0.4, seed=1)(images, training=True))
    factors = lit.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    offsets = lit.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))
    assert 0.6 - 1e-3 < factors.min() < 0.65 and 1.35 < factors.max() < 1.4 + 1e-3
    assert -0.2 - 1e-3 < offsets.min() < -0.17 and 0.17 < offsets.max() < 0.2 + 1e-3


def test_light_stays_within_black_and_white():
    lit = np.asarray(layers.RandomLight(1.0, seed=1)(draw_images(64), training=True))
    assert lit.min() == 0 and lit.max() == 1


def test_erasing_covers_one_rectangle_of_one_level_in_the_asked_share():
    images = np.broadcast_to(np.linspace(0, 1, 48 * 48).reshape(1, 48, 48, 1), (500, 48, 48, 1))
    images = images.astype(np.float32)
    erased = np.asarray(layers.RandomErasing(0.3, seed=2)(images, training=True))
    changed = np.abs(erased - images)[..., 0] > 1e-6
    covered = [position for position in range(500) if changed[position].any()]
    assert 100 < len(covered) < 200
    sides = []
    for position in covered:
        rows, columns = np.nonzero(changed[position])
        box = erased[position, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(box)) == 1
        sides.append(box.shape[:2])
    assert 4 <= np.min(sides) <= 8 and 20 <= np.max(sides) <= 24


@pytest.mark.parametrize(
    "layer", [layers.RandomLight(0.4, seed=8), layers.RandomErasing(0.5, seed=8)]
)
def test_light_and_erasing_survive_their_config(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    images = draw_images(6)
    layer.seed_generator.state.assign(copy.seed_generator.state)
    np.testing.assert_array_equal(copy(images, training=True), layer(images, training=True))


# === Blocks ===

BLOCKS = {
    "convolution": layers.apply_convolution,
    "separable": layers.apply_separable,
    "residual": layers.apply_residual,
}


def make_block(block: str, side: int, channels: int, filters: int, stride: int) -> keras.Model:
    x = keras.Input((side, side, channels))
    return keras.Model(x, BLOCKS[block](x, filters, stride, "block"))


def pass_centre_through(layer) -> None:
    """Makes a 3x3 convolution hand each pixel on as it is."""
    kernel = np.zeros(layer.kernel.shape, np.float32)
    kernel[1, 1] = np.eye(*kernel.shape[2:])
    layer.kernel.assign(kernel)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("stride", "side"), [(1, 75), (2, 38)])
def test_block_keeps_or_halves_odd_sides_rounding_up(block, stride, side):
    assert make_block(block, 75, 3, 5, stride).output.shape == (None, side, side, 5)


@pytest.mark.parametrize(
    ("block", "channels", "filters", "stride", "parameters"),
    [
        # A batch normalisation has 4 a channel; convolutions have no bias.
        ("convolution", 3, 5, 1, 9 * 3 * 5 + 4 * 5),
        ("convolution", 3, 5, 2, 9 * 3 * 5 + 4 * 5),
        ("separable", 3, 5, 2, 9 * 3 + 4 * 3 + 3 * 5 + 4 * 5),
        ("residual", 5, 5, 1, 2 * (9 * 5 * 5 + 4 * 5)),
        ("residual", 5, 5, 2, 2 * (9 * 5 * 5 + 4 * 5) + 5 * 5 + 4 * 5),
        ("residual", 3, 5, 1, 9 * 3 * 5 + 9 * 5 * 5 + 3 * 5 + 3 * 4 * 5),
    ],
)
def test_block_has_the_parameters_of_its_kind(block, channels, filters, stride, parameters):
    assert make_block(block, 8, channels, filters, stride).count_params() == parameters


@pytest.mark.parametrize("block", BLOCKS)
def test_block_ends_in_a_relu(block):
    output = np.asarray(make_block(block, 8, 3, 5, 1)(draw_block_input(3)))
    assert output.min() == 0
    assert output.max() > 0


def draw_block_input(channels: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, 8, 8, channels)).astype(np.float32)


def test_residual_shortcut_is_the_identity_where_the_shape_stays():
    block = make_block("residual", 8, 4, 4, 1)
    for name in ("block_conv1", "block_conv2"):
        layer = block.get_layer(name)
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    x = draw_block_input(4)
    np.testing.assert_array_equal(block(x), np.maximum(x, 0))


def test_residual_branch_is_added_to_the_shortcut_before_the_relu():
    block = make_block("residual", 8, 4, 4, 1)
    for name in ("block_conv1", "block_conv2"):
        pass_centre_through(block.get_layer(name))
    x = draw_block_input(4)
    normalized = 1 / math.sqrt(1 + block.get_layer("block_conv1_bn").epsilon)
    expected = np.maximum(x + np.maximum(x * normalized, 0) * normalized, 0)
    np.testing.assert_allclose(block(x), expected, atol=1e-5)


def test_residual_shortcut_of_half_the_size_sees_the_mean_of_four_values():
    block = make_block("residual", 8, 4, 4, 2)
    for name in ("block_conv1", "block_conv2"):
        layer = block.get_layer(name)
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    block.get_layer("block_shortcut").kernel.assign(np.eye(4)[None, None])
    x = draw_block_input(4)
    pooled = x.reshape(2, 4, 2, 4, 2, 4).mean(axis=(2, 4))
    normalized = 1 / math.sqrt(1 + block.get_layer("block_shortcut_bn").epsilon)
    np.testing.assert_allclose(block(x), np.maximum(pooled * normalized, 0), atol=1e-5)


def test_convolution_pools_the_maximum_before_it_convolves():
    block = make_block("convolution", 8, 4, 4, 2)
    pass_centre_through(block.get_layer("block_conv"))
    x = draw_block_input(4)
    pooled = x.reshape(2, 4, 2, 4, 2, 4).max(axis=(2, 4))
    normalized = 1 / math.sqrt(1 + block.get_layer("block_conv_bn").epsilon)
    np.testing.assert_allclose(block(x), np.maximum(pooled * normalized, 0), atol=1e-5)
