"""The SavedModel: its signatures agree with the network and with one another, wherever loaded."""

import ast
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import examples, export, preprocessing, views
from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.tests.models import image_bombs

MANIFEST = {"profile": "tiny", "best_epoch": 3, "public_test_accuracy": 0.5}
TEMPERATURE = 1.5
FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Exported:
    path: str
    model: keras.Model
    signatures: dict
    # Of the network itself at the temperature, for the faces of `transformed`.
    probabilities: np.ndarray


@pytest.fixture(scope="module")
def exported(transformed, tiny_config, tmp_path_factory) -> Exported:
    keras.utils.set_random_seed(2)
    model = muwnet_model.build_muwnet(tiny_config)
    # Untrained, it would give all faces much the same probabilities: spread and centre its logits.
    head = model.get_layer("logits")
    features = keras.Model(model.input, head.input)(transformed.faces, training=False)
    kernel = head.kernel * (2 / np.std(features @ head.kernel, axis=0))
    head.set_weights([kernel, -np.mean(features @ kernel, axis=0)])
    path = str(tmp_path_factory.mktemp("export") / "serving")
    transform = transformed.output.transform_features_layer()
    decode = functools.partial(preprocessing.decode_through, transform)
    export.save(export.ServingModule(model, decode, TEMPERATURE, tracked=transform), MANIFEST, path)
    logits = muwnet_model.get_logits(model)(transformed.faces, training=False)
    probabilities = tf.nn.softmax(logits / TEMPERATURE).numpy()
    return Exported(path, model, tf.saved_model.load(path).signatures, probabilities)


def encode_example(features: dict) -> bytes:
    """Serializes raw features as an Example: bytes, floats or integers by their first value."""

    def to_feature(values):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features = {key: to_feature(values) for key, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def list_images(transformed) -> list[bytes]:
    return [row["image"][0] for row in transformed.rows]


def assert_same(outputs, expected: np.ndarray) -> None:
    """Checks all three outputs against the expected probabilities."""
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    classes = expected.argmax(axis=1)
    assert np.asarray(outputs["class_id"]).tolist() == classes.tolist()
    labels = [fer2013.EMOTIONS[i].encode() for i in classes]
    assert np.asarray(outputs["label"]).tolist() == labels


# === Signatures ===


def test_signatures_have_the_documented_inputs_and_outputs(exported):
    inputs = {
        name: signature.structured_input_signature[1]
        for name, signature in exported.signatures.items()
    }
    assert inputs == {
        "serving_default": {"examples": tf.TensorSpec([None], tf.string, "examples")},
        "predict_images": {"image": tf.TensorSpec([None], tf.string, "image")},
        "predict_faces": {"image": tf.TensorSpec([None, 48, 48], tf.uint8, "image")},
        "ten_views": {"examples": tf.TensorSpec([None], tf.string, "examples")},
    }
    for signature in exported.signatures.values():
        outputs = {
            name: (spec.dtype, spec.shape.as_list())
            for name, spec in signature.structured_outputs.items()
        }
        assert outputs == {
            "probabilities": (tf.float32, [None, 7]),
            "class_id": (tf.int64, [None]),
            "label": (tf.string, [None]),
        }


def test_faces_of_the_tests_fall_into_different_classes(exported):
    assert len(set(exported.probabilities.argmax(axis=1))) >= 3


# === One answer on every road ===


def test_predict_faces_agrees_with_the_network(exported, transformed):
    outputs = exported.signatures["predict_faces"](image=tf.constant(transformed.faces))
    assert_same(outputs, exported.probabilities)
    np.testing.assert_allclose(outputs["probabilities"].numpy().sum(axis=1), 1, atol=1e-5)


def test_predict_images_agrees_with_the_network(exported, transformed):
    outputs = exported.signatures["predict_images"](image=tf.constant(list_images(transformed)))
    assert_same(outputs, exported.probabilities)


def test_training_s_own_input_agrees_with_serving(exported, transformed):
    spec = transformed.output.transformed_feature_spec()
    split = examples.load_split([transformed.examples], spec)
    # Row i shows emotion i.
    expected = exported.probabilities[split.labels.numpy()]
    outputs = exported.signatures["predict_faces"](image=split.faces)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("features", ["image only", "all raw features"])
def test_serialized_examples_agree_with_the_network(exported, transformed, features):
    rows = transformed.rows
    if features == "image only":
        rows = [{"image": row["image"]} for row in rows]
    serialized = tf.constant([encode_example(row) for row in rows])
    outputs = exported.signatures["serving_default"](examples=serialized)
    assert_same(outputs, exported.probabilities)


def test_temperature_changes_probabilities_and_no_emotion(exported, transformed):
    as_trained = exported.model(transformed.faces, training=False).numpy()
    assert np.abs(as_trained - exported.probabilities).max() > 0.05
    assert as_trained.argmax(axis=1).tolist() == exported.probabilities.argmax(axis=1).tolist()


def test_ten_views_are_the_mean_over_views(exported, transformed):
    serialized = tf.constant([encode_example({"image": row["image"]}) for row in transformed.rows])
    outputs = exported.signatures["ten_views"](examples=serialized)
    predict = exported.signatures["predict_faces"]
    of_views = [
        predict(image=view)["probabilities"] for view in views.make_views(transformed.faces)
    ]
    expected = np.mean(of_views, axis=0)
    assert np.abs(expected - exported.probabilities).max() > 1e-3
    assert_same(outputs, expected)


def test_label_of_a_row_does_not_leak_into_its_prediction(exported, transformed):
    rows = [{**row, "emotion": [6 - row["emotion"][0]]} for row in transformed.rows]
    serialized = tf.constant([encode_example(row) for row in rows])
    outputs = exported.signatures["serving_default"](examples=serialized)
    assert_same(outputs, exported.probabilities)


def test_photographs_of_several_sizes_share_a_batch(exported, transformed):
    face = transformed.faces[0]
    enlarged = cv2.resize(face, (96, 144), interpolation=cv2.INTER_NEAREST)
    images = [
        cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_GRAY2BGR))[1].tobytes(),
        cv2.imencode(".jpg", enlarged)[1].tobytes(),
        cv2.imencode(".png", face)[1].tobytes(),
    ]
    outputs = exported.signatures["predict_images"](image=tf.constant(images))
    assert outputs["probabilities"].shape == (3, 7)
    for position in (0, 2):
        np.testing.assert_allclose(
            outputs["probabilities"][position], exported.probabilities[0], atol=1e-5
        )


# === What is refused ===


def test_bytes_that_are_no_image_are_an_invalid_argument(exported, transformed):
    images = tf.constant([list_images(transformed)[0], b"no image"])
    with pytest.raises(tf.errors.InvalidArgumentError):
        exported.signatures["predict_images"](image=images)


@pytest.mark.parametrize(
    "serialized",
    [
        encode_example({"image": [b"no image"]}),
        encode_example({"image": [image_bombs.forge_png(40_000, 40_000)]}),
        encode_example({"emotion": [1]}),
        b"no Example",
    ],
    ids=["corrupt image", "large image", "no image", "no Example"],
)
def test_examples_without_an_image_are_an_invalid_argument(exported, serialized):
    with pytest.raises(tf.errors.InvalidArgumentError):
        exported.signatures["serving_default"](examples=tf.constant([serialized]))


def test_large_images_cost_a_server_neither_time_nor_memory(exported, transformed, tmp_path):
    bombs = {
        "40000x40000": image_bombs.draw_png(40_000, 40_000),
        # TensorFlow itself would decode these: half a gigabyte of grey pixels each.
        "23000x23000": image_bombs.draw_png(23_000, 23_000),
        "22999x23000": image_bombs.forge_jpeg(22_999, 23_000),
        "65000x65000": image_bombs.forge_jpeg(65_000, 65_000),
    }
    # The first one, a face, is served: afterwards memory is that of a server in use.
    for name, content in {"0": list_images(transformed)[0], **bombs}.items():
        (tmp_path / name).write_bytes(content)
    script = FOLDER / "refuse_in_fresh_process.py"
    command = [sys.executable, "-I", script, exported.path, "0", *bombs]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    assert [outcome["image"] for outcome in outcomes] == 2 * ["0", *bombs]
    for outcome in outcomes:
        if outcome["image"] == "0":
            assert outcome["message"] is None
            continue
        assert f"pixels, got] [{outcome['image']}]" in outcome["message"]
        # Milliseconds; the first error of a process also formats a stack trace.
        assert outcome["seconds"] < 1
        assert outcome["megabytes"] < 20


# === The files ===


def test_manifest_lies_beside_the_model(exported):
    path = pathlib.Path(exported.path, "assets.extra", "muwnet.json")
    assert json.loads(path.read_text()) == MANIFEST


def test_model_serves_in_a_process_without_this_package(exported, transformed, tmp_path):
    serialized = [encode_example({"image": row["image"]}) for row in transformed.rows]
    np.savez(
        tmp_path / "inputs.npz",
        examples=np.array(serialized, object),
        images=np.array(list_images(transformed), object),
        faces=transformed.faces,
    )
    # Isolated (-I), elsewhere, and with a script that refuses the import.
    command = [
        sys.executable,
        "-I",
        FOLDER / "serve_in_fresh_process.py",
        exported.path,
        "inputs.npz",
        "outputs.npz",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    modules = ast.literal_eval(result.stdout.splitlines()[-1])
    assert "tensorflow" in modules
    assert "muwnet_fer" not in modules
    outputs = np.load(tmp_path / "outputs.npz", allow_pickle=True)
    for loader in ("eager", "session"):
        for signature in ("serving_default", "predict_images", "predict_faces"):
            served = {
                name: outputs[f"{loader}/{signature}/{name}"]
                for name in ("probabilities", "class_id", "label")
            }
            assert_same(served, exported.probabilities)
