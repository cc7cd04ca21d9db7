"""Weights of a pushed version, halved, written, read and loaded: the same network, or an error."""

import dataclasses
import functools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import export, packaged_weights, preprocessing
from muwnet_fer.models.muwnet import model as muwnet_model

TEMPERATURE = 1.5


@pytest.fixture(scope="module")
def pushed(transformed, tiny_config, tmp_path_factory):
    """A pushed version's folder."""
    keras.utils.set_random_seed(3)
    model = muwnet_model.build_muwnet(tiny_config)
    transform = transformed.output.transform_features_layer()
    decode = functools.partial(preprocessing.decode_through, transform)
    manifest = {"muwnet": dataclasses.asdict(tiny_config), "temperature": TEMPERATURE}
    path = tmp_path_factory.mktemp("pushed") / "1"
    module = export.ServingModule(model, decode, TEMPERATURE, tracked=transform)
    export.save(module, manifest, str(path))
    return path


@pytest.fixture
def packaged(pushed, tmp_path):
    halved = packaged_weights.halve(packaged_weights.read(str(pushed)))
    return packaged_weights.write(tmp_path, "tiny", halved)


def predict(signatures, faces) -> np.ndarray:
    return signatures["predict_faces"](image=tf.constant(faces))["probabilities"].numpy()


def test_pushed_version_is_read_as_it_was_trained(pushed, tiny_config, transformed):
    weights = packaged_weights.read(str(pushed))
    assert weights.config == tiny_config
    assert weights.temperature == TEMPERATURE
    loaded = packaged_weights.load(weights)
    ours = loaded.predict_faces(tf.constant(transformed.faces))["probabilities"]
    theirs = predict(tf.saved_model.load(str(pushed)).signatures, transformed.faces)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_packaged_weights_have_the_signatures_of_a_pushed_version(
    pushed, packaged, transformed, tmp_path
):
    weights = packaged_weights.read(str(packaged))
    assert packaged.with_suffix(".npz").stat().st_size < 2.5 * 1109 + 10_000
    path = str(tmp_path / "saved_model")
    export.save(packaged_weights.load(weights), weights.manifest, path)
    ours, theirs = (tf.saved_model.load(str(p)).signatures for p in (path, pushed))
    assert ours.keys() == theirs.keys()
    for name, signature in theirs.items():
        assert ours[name].structured_input_signature == signature.structured_input_signature
        assert ours[name].structured_outputs == signature.structured_outputs
    # Half precision has 11 bits; seven probabilities hardly move.
    expected = predict(theirs, transformed.faces)
    np.testing.assert_allclose(predict(ours, transformed.faces), expected, atol=5e-3)
    images = tf.constant([row["image"][0] for row in transformed.rows])
    np.testing.assert_allclose(
        ours["predict_images"](image=images)["probabilities"],
        predict(ours, transformed.faces),
        atol=1e-5,
    )
    # And it is one to read weights from again.
    again = packaged_weights.read(path)
    for one, other in zip(weights.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_changed_bytes_are_refused(packaged):
    path = packaged.with_suffix(".npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(packaged_weights.WeightsError, match=r"tiny\.npz of SHA-256 \w{64}"):
        packaged_weights.read(str(packaged))


def test_arrays_that_are_not_there_are_an_os_error(packaged):
    packaged.with_suffix(".npz").unlink()
    with pytest.raises(FileNotFoundError, match="tiny.npz"):
        packaged_weights.read(str(packaged))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"muwnet": {}, "temperature": 1}', '{"muwnet": 1}']
)
def test_what_is_no_manifest_is_named(packaged, content):
    packaged.write_text(content)
    with pytest.raises(packaged_weights.WeightsError, match="tiny.json"):
        packaged_weights.read(str(packaged))


@pytest.mark.parametrize("name", ["nothing", "", ".", "/dev/null"])
def test_what_is_no_weights_is_named_with_what_there_is(name):
    with pytest.raises(
        packaged_weights.WeightsError, match=f"pushed version's folder, got '{name}'"
    ):
        packaged_weights.read(name)


@pytest.mark.parametrize("gone", ["variables", "variables/variables.data-00000-of-00001"])
def test_saved_model_without_variables_is_named(gone, pushed, tmp_path):
    path = tmp_path / "2"
    shutil.copytree(pushed, path)
    (path / gone).rename(tmp_path / "gone")
    with pytest.raises(packaged_weights.WeightsError, match=f"a SavedModel at {path}"):
        packaged_weights.read(str(path))


def test_saved_model_without_weights_is_named(pushed, tmp_path):
    path = tmp_path / "2"
    tf.saved_model.save(tf.Module(), str(path))
    shutil.copytree(pushed / "assets.extra", path / "assets.extra")
    with pytest.raises(packaged_weights.WeightsError, match=f"the variables of {path}, got none"):
        packaged_weights.read(str(path))


def test_other_shapes_are_refused(packaged, tiny_config):
    weights = packaged_weights.read(str(packaged))
    wider = dataclasses.replace(tiny_config, fully_connected=17)
    model = muwnet_model.build_muwnet(wider)
    before = [array.copy() for array in model.get_weights()]
    with pytest.raises(packaged_weights.WeightsError, match=r"\(8, 17\) against \(8, 16\)"):
        packaged_weights.assign(model, weights)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    (difference,) = packaged_weights.find_differences(wider, weights.config)
    assert difference == "fully_connected is 16, expected 17"
    deeper = dataclasses.replace(
        tiny_config, stages=(*tiny_config.stages, muwnet_config.Stage("residual", 8))
    )
    with pytest.raises(packaged_weights.WeightsError, match="arrays of the network's shapes"):
        packaged_weights.assign(muwnet_model.build_muwnet(deeper), weights)
    (difference,) = packaged_weights.find_differences(deeper, weights.config)
    assert difference.startswith("stages is (")
    # What does not change a shape does not matter.
    trained_otherwise = dataclasses.replace(tiny_config, dropout=0.9, seed=77)
    assert packaged_weights.find_differences(trained_otherwise, weights.config) == []


def test_what_half_precision_cannot_hold_is_refused(pushed):
    weights = packaged_weights.read(str(pushed))
    weights.arrays[4] = weights.arrays[4] + 1e6
    with pytest.raises(packaged_weights.WeightsError, match="65504, got 1e\\+06 in array 4"):
        packaged_weights.halve(weights)


def test_an_interrupted_write_leaves_the_earlier_weights(packaged, monkeypatch):
    weights = packaged_weights.read(str(packaged))
    before = packaged.read_bytes(), packaged.with_suffix(".npz").read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(json, "dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        packaged_weights.write(packaged.parent, "tiny", weights)
    assert (packaged.read_bytes(), packaged.with_suffix(".npz").read_bytes()) == before
    assert sorted(path.name for path in packaged.parent.iterdir()) == ["tiny.json", "tiny.npz"]
