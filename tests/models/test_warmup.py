"""Warm-up requests: TensorFlow Serving's own form, and the model answers them."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from muwnet_fer.data import fer2013, model_config
from muwnet_fer.models.muwnet import export, preprocessing, warmup
from muwnet_fer.models.muwnet import model as muwnet_model


@pytest.fixture(scope="module")
def saved_model(tiny_config, tmp_path_factory) -> pathlib.Path:
    keras.utils.set_random_seed(4)
    path = tmp_path_factory.mktemp("warmup") / "1"
    model = muwnet_model.build_muwnet(tiny_config)
    module = export.ServingModule(model, preprocessing.decode_images, 1.0)
    manifest = {"muwnet": dataclasses.asdict(tiny_config), "temperature": 1.0}
    export.save(module, manifest, str(path))
    return path


def read_requests(saved_model: pathlib.Path) -> list:
    """Reads as saved_model_warmup_util.cc does: TFRecords of PredictionLog."""
    records = tf.data.TFRecordDataset(str(saved_model / "assets.extra/tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


def test_each_signature_that_clients_use_has_one_request(saved_model):
    requests = read_requests(saved_model)
    assert [request.model_spec.signature_name for request in requests] == [
        "predict_images",
        "predict_faces",
        "serving_default",
    ]
    assert {request.model_spec.name for request in requests} == {model_config.MODEL_NAME}


def test_the_model_answers_all_requests_alike(saved_model):
    """In TensorFlow Serving's way: its loader, a session, the signature's tensors by name."""
    requests = read_requests(saved_model)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model))
        probabilities = []
        for request in requests:
            signature = meta_graph.signature_def[request.model_spec.signature_name]
            feeds = {
                signature.inputs[name].name: tf.make_ndarray(value)
                for name, value in request.inputs.items()
            }
            fetch = signature.outputs["probabilities"].name
            probabilities.append(session.run(fetch, feeds))
    for of_signature in probabilities:
        assert of_signature.shape == (1, len(fer2013.EMOTIONS))
        # The same image in three forms.
        np.testing.assert_allclose(of_signature, probabilities[0], atol=1e-5)


def test_equal_exports_have_equal_requests(tmp_path):
    """A server's newest version is compared with the trained model byte by byte."""
    for name in "ab":
        (tmp_path / name).mkdir()
        warmup.write(tmp_path / name)
    one, other = ((tmp_path / name / warmup.FILE).read_bytes() for name in "ab")
    assert one == other
