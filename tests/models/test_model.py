"""build_muwnet: size and make of the profiles' networks, their pixels, what they refuse."""

import collections
import dataclasses
import functools
import re

import cv2
import keras
import numpy as np
import pytest

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.pipeline import profiles

CONFIGS = {name: profile.muwnet for name, profile in profiles.PROFILES.items()}


@functools.cache
def build(config: muwnet_config.MuWNetConfig) -> keras.Model:
    """Builds each network once: the tests only read them."""
    keras.utils.set_random_seed(1)
    return muwnet_model.build_muwnet(config)


def draw_faces(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 48, 48), dtype=np.uint8)


def predict(model: keras.Model, faces: np.ndarray, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(faces, training=training))


def cut_at(model: keras.Model, layer: str) -> keras.Model:
    return keras.Model(model.input, model.get_layer(layer).output)


# === The networks of the profiles ===


@pytest.mark.parametrize("name", ["paper-1", "paper-2"])
def test_paper_networks_have_3_1_million_parameters(name):
    assert build(CONFIGS[name]).count_params() == pytest.approx(3.1e6, rel=0.02)


@pytest.mark.parametrize(
    ("name", "most"), [("cpu", 3.1e6), ("cpu-long", 3.1e6), ("lite", 75e3), ("smoke", 75e3)]
)
def test_networks_are_no_larger_than_they_may(name, most):
    assert build(CONFIGS[name]).count_params() <= most


def test_paper_network_has_three_stages_of_each_block():
    layers = build(muwnet_config.PAPER_1).layers
    matches = filter(None, (re.match(r"stage(\d+)_([a-z]+)\d", layer.name) for layer in layers))
    counts = collections.Counter(block for _, block in {match.groups() for match in matches})
    assert counts.keys() == {"convolution", "separable", "residual"}
    assert min(counts.values()) >= 3


@pytest.mark.parametrize("name", CONFIGS)
def test_no_layer_but_the_fully_connected_one_dominates(name):
    model = build(CONFIGS[name])
    shares = {layer.name: layer.count_params() / model.count_params() for layer in model.layers}
    del shares["fully_connected"]
    largest = max(shares, key=shares.get)
    assert shares[largest] <= 0.4, largest


@pytest.mark.parametrize("name", CONFIGS)
def test_head_is_as_configured(name):
    config, model = CONFIGS[name], build(CONFIGS[name])
    assert model.get_layer("fully_connected").units == config.fully_connected
    assert model.get_layer("dropout").rate == config.dropout
    augment = model.get_layer("augment").get_config()
    fields = ("flip", "shift", "zoom", "rotation")
    assert [augment[name] for name in fields] == [getattr(config.augmentation, f) for f in fields]
    # Dropout stands right before the last layer of weights.
    assert [layer.name for layer in model.layers[-4:]] == [
        "fully_connected",
        "dropout",
        "logits",
        "probabilities",
    ]


def test_paper_network_halves_the_resolution_down_to_3x3():
    model = build(muwnet_config.PAPER_1)
    sides = [layer.output.shape[1] for layer in model.layers if len(layer.output.shape) == 4]
    assert sorted(set(sides) - {48}, reverse=True) == [150, 75, 38, 19, 10, 5, 3]


# === Input and output ===


@pytest.mark.parametrize("size", [48, 64, 96, 150])
def test_one_builder_serves_every_input_size(size):
    model = build(dataclasses.replace(muwnet_config.PAPER_1, input_size=size))
    first = model.get_layer("stage1_convolution1_conv")
    assert first.input.shape == (None, size, size, 1)
    assert ("resize" in {layer.name for layer in model.layers}) == (size != 48)
    probabilities = predict(model, draw_faces(2))
    assert probabilities.shape == (2, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities.min() >= 0


def test_input_is_a_grey_byte_image(tiny_config):
    image = build(tiny_config).input
    assert (image.name, image.dtype, image.shape) == ("image", "uint8", (None, 48, 48))


def test_pixels_are_divided_by_255(tiny_config):
    faces = np.zeros((1, 48, 48), np.uint8)
    faces[0, 3, 5], faces[0, 7, 2] = 51, 255
    scaled = predict(cut_at(build(tiny_config), "rescale"), faces)
    expected = np.zeros((1, 48, 48, 1), np.float32)
    expected[0, 3, 5], expected[0, 7, 2] = 0.2, 1
    np.testing.assert_allclose(scaled, expected, atol=1e-7)


def test_larger_inputs_show_the_same_face(tiny_config):
    model = build(dataclasses.replace(tiny_config, input_size=96))
    faces = draw_faces(3)
    resized = predict(cut_at(model, "resize"), faces)
    assert resized.shape == (3, 96, 96, 1)
    expected = [cv2.resize(face / np.float32(255), (96, 96)) for face in faces]
    np.testing.assert_allclose(resized[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("size", [47, 151, 0])
def test_wrong_input_size_is_named(tiny_config, size):
    with pytest.raises(ValueError, match=rf"48 to 150, got {size}$"):
        muwnet_model.build_muwnet(dataclasses.replace(tiny_config, input_size=size))


def test_wrong_block_is_named_with_the_known_ones(tiny_config):
    stages = (*tiny_config.stages, muwnet_config.Stage("inception", 8))
    with pytest.raises(ValueError, match="convolution.*separable.*residual.*got 'inception'"):
        muwnet_model.build_muwnet(dataclasses.replace(tiny_config, stages=stages))


# === Inference ===


def test_inference_repeats_itself_and_training_does_not(tiny_config):
    model, faces = build(tiny_config), draw_faces(8)
    first = predict(model, faces)
    np.testing.assert_array_equal(predict(model, faces), first)
    assert np.abs(predict(model, faces, training=True) - first).max() > 1e-4


def test_augmentation_acts_in_training_only(tiny_config):
    augmented, faces = cut_at(build(tiny_config), "augment"), draw_faces(8)
    scaled = faces[..., np.newaxis] / np.float32(255)
    np.testing.assert_allclose(predict(augmented, faces), scaled, atol=1e-7)
    moved = np.abs(predict(augmented, faces, training=True) - scaled).mean(axis=(1, 2, 3))
    assert moved.min() > 0.01  # of every face


def test_a_face_s_probabilities_do_not_depend_on_its_batch(tiny_config):
    model, faces = build(tiny_config), draw_faces(8)
    alone = np.concatenate([predict(model, faces[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(alone, predict(model, faces), atol=1e-6)


def test_saved_network_loads_with_equal_outputs_and_its_augmentation(tiny_config, tmp_path):
    model, faces = build(tiny_config), draw_faces(4)
    model.save(tmp_path / "muwnet.keras")
    loaded = keras.saving.load_model(tmp_path / "muwnet.keras")
    np.testing.assert_allclose(predict(loaded, faces), predict(model, faces), atol=1e-6)
    original = model.get_layer("augment").get_config()
    assert loaded.get_layer("augment").get_config() == original


def test_xla_is_left_off():
    """Keras turns it on where there is a GPU; it cannot compile the augmentation."""
    network = muwnet_model.build_muwnet(muwnet_config.SMOKE)
    network.compile(loss="categorical_crossentropy", jit_compile="auto")
    assert not network.get_layer("augment").supports_jit
    assert network.jit_compile is False


def test_a_network_for_smaller_faces_shares_layers_and_weights(tiny_config):
    model = build(tiny_config)
    small = muwnet_model.scale_down(model, 24)
    for variables in ("variables", "trainable_variables"):
        expected, got = getattr(model, variables), getattr(small, variables)
        assert [id(variable) for variable in got] == [id(variable) for variable in expected]
    assert small.get_layer("phase_resize").output.shape == (None, 24, 24, 1)
    # The other way round from what is asked for: a face of pairs of equal pixels loses nothing.
    face = np.random.default_rng(3).integers(0, 256, (2, 24, 24), np.uint8)
    blown_up = face.repeat(2, axis=1).repeat(2, axis=2)
    logits = [small(blown_up, training=False), model(blown_up, training=False)]
    assert np.abs(logits[0] - logits[1]).max() > 0
    pooled = keras.Model(small.input, small.get_layer("phase_resize").output)(blown_up)
    assert np.allclose(pooled[..., 0], face / 255, atol=1e-6)


def test_what_begins_with_a_shortcut_works_on_smaller_faces_too():
    stages = (muwnet_config.Stage("residual", 4, stride=1),)
    model = build(dataclasses.replace(muwnet_config.SMOKE, stages=stages))
    small = muwnet_model.scale_down(model, 24)
    assert small.get_layer("phase_resize").output.shape == (None, 24, 24, 1)
    assert small(draw_faces(2)).shape == (2, 7)


def test_which_faces_are_covered_does_not_depend_on_how_they_are_turned():
    augmentation = muwnet_config.Augmentation(False, 0.0, 0.0, rotation=45.0, erasing=0.5)
    model = build(dataclasses.replace(muwnet_config.SMOKE, augmentation=augmentation))
    ramp = np.tile(np.arange(48, dtype=np.float32) / 47, (400, 48, 1))[..., np.newaxis]
    # Above the centre: the further a face is turned, the further left or right this comes from.
    turned = np.asarray(model.get_layer("augment")(ramp, training=True))[:, 4, 24, 0]
    covered = np.ptp(model.get_layer("erasing")(0 * ramp, training=True), axis=(1, 2, 3)) > 0
    assert 150 < covered.sum() < 250
    # 0 but for chance, one standard deviation of which is .05.
    assert abs(np.corrcoef(turned, covered)[0, 1]) < 0.2
