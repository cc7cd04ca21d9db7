"""TensorFlow Serving's behaviour, of whichever server MUWNET_SERVER=host:port names.

Without it the embedded server is started. The client is `tensorflow_serving.apis`, the plain stubs.
Where MuWNet's own signatures matter, the model has to be one of this project, named `muwnet`.
"""

import os

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from muwnet_fer.data import fer2013
from muwnet_fer.tests.serving import server_process

Code = grpc.StatusCode
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


@pytest.fixture(scope="module")
def stubs(server_models, tmp_path_factory):
    address = os.environ.get("MUWNET_SERVER")
    if address:
        yield server_process.Stubs(address)
        return
    base_path = tmp_path_factory.mktemp("models")
    server_process.publish(server_models[0], base_path, 1)
    with server_process.serve("--model-dir", base_path, cwd=base_path) as server:
        yield server.stubs
        # Nothing that was asked below may have stopped it or made it log a fault of its own.
        assert server.process.poll() is None
        assert "Traceback" not in server.output


def expect_error(code: grpc.StatusCode, message: str, call, *arguments, **named):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=server_process.DEADLINE, **named)
    assert caught.value.code() == code, caught.value.details()
    assert message in caught.value.details()


def encode_examples(pngs) -> list[bytes]:
    def make(png):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
        features = tf.train.Features(feature={fer2013.IMAGE_KEY: feature})
        return tf.train.Example(features=features).SerializeToString()

    return [make(png) for png in pngs]


def test_every_signature_answers_the_same_of_the_same_faces(stubs, server_faces, server_pngs):
    examples = encode_examples(server_pngs)
    by_signature = {
        "predict_faces": stubs.predict(server_faces),
        "predict_images": stubs.predict(server_pngs, "predict_images"),
        "serving_default": stubs.predict(examples, "serving_default", "examples"),
        "": stubs.predict(examples, "", "examples"),
    }
    expected = server_process.read(by_signature["predict_faces"])
    assert expected["probabilities"].shape == (8, 7)
    np.testing.assert_allclose(expected["probabilities"].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(
        expected["class_id"], expected["probabilities"].argmax(axis=1).astype(np.int64)
    )
    for signature, response in by_signature.items():
        assert response.model_spec.name == "muwnet"
        assert response.model_spec.signature_name == (signature or "serving_default")
        outputs = server_process.read(response)
        np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=1e-5)
        np.testing.assert_array_equal(outputs["label"], expected["label"])
    names = [label.decode() for label in expected["label"]]
    assert names == [fer2013.EMOTIONS[class_id] for class_id in expected["class_id"]]
    ten_views = server_process.read(stubs.predict(examples, "ten_views", "examples"))
    assert ten_views["probabilities"].shape == (8, 7)


def test_output_filter_chooses_outputs(stubs, server_faces):
    request = server_process.make_request(server_faces)
    request.output_filter.append("label")
    response = stubs.prediction.Predict(request, timeout=server_process.DEADLINE)
    assert set(response.outputs) == {"label"}
    request.output_filter.append("label")
    expect_error(
        Code.INVALID_ARGUMENT,
        "duplicate output tensor alias: label",
        stubs.prediction.Predict,
        request,
    )
    request.output_filter[:] = ["emotion"]
    expect_error(
        Code.INVALID_ARGUMENT,
        "output tensor alias not found in signature: emotion",
        stubs.prediction.Predict,
        request,
    )


def test_metadata_has_every_signature(stubs):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "muwnet"
    response = stubs.prediction.GetModelMetadata(request, timeout=server_process.DEADLINE)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value in stubs.get_states()
    faces = signatures.signature_def["predict_faces"]
    assert faces.method_name == "tensorflow/serving/predict"
    assert faces.inputs["image"].dtype == tf.uint8.as_datatype_enum
    assert [d.size for d in faces.inputs["image"].tensor_shape.dim] == [-1, 48, 48]
    assert set(faces.outputs) == {"probabilities", "class_id", "label"}
    request.metadata_field[:] = []
    expect_error(
        Code.INVALID_ARGUMENT,
        "must specify at least one metadata_field",
        stubs.prediction.GetModelMetadata,
        request,
    )
    request.metadata_field[:] = ["weights"]
    expect_error(
        Code.INVALID_ARGUMENT, "is not supported", stubs.prediction.GetModelMetadata, request
    )


def test_status_lists_versions(stubs):
    states = stubs.get_states()
    assert AVAILABLE in states.values()
    version = max(states)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "muwnet"
    request.model_spec.version.value = version
    response = stubs.model.GetModelStatus(request, timeout=server_process.DEADLINE)
    assert [entry.version for entry in response.model_version_status] == [version]
    request.model_spec.version.value = 987654321
    expect_error(
        Code.NOT_FOUND,
        "Could not find version 987654321 of model muwnet",
        stubs.model.GetModelStatus,
        request,
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    expect_error(Code.INVALID_ARGUMENT, "Missing ModelSpec", stubs.model.GetModelStatus, request)
    request.model_spec.name = "nobody"
    expect_error(
        Code.NOT_FOUND,
        "Could not find any versions of model nobody",
        stubs.model.GetModelStatus,
        request,
    )


def make(array=b"", signature="predict_images", key="image", **model_spec):
    return server_process.make_request([array], signature, key, **model_spec)


REFUSED = {
    "unknown model": (
        make(name="nobody"),
        Code.NOT_FOUND,
        "Servable not found for request: Latest(nobody)",
    ),
    "unknown version": (
        make(version=987654321),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(muwnet, 987654321)",
    ),
    "unknown label": (
        make(version_label="nothing"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: nothing",
    ),
    "no model name": (make(name=""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    "no model spec": (predict_pb2.PredictRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
    "unknown signature": (
        make(signature="dance"),
        Code.FAILED_PRECONDITION,
        'Serving signature key "dance" not found.',
    ),
    "wrong input name": (
        make(key="picture"),
        Code.INVALID_ARGUMENT,
        "Signature input alias: image",
    ),
    "text of no image": (make(b"no image"), Code.INVALID_ARGUMENT, "expected PNG or JPEG"),
    "no bytes": (make(b""), Code.INVALID_ARGUMENT, "expected PNG or JPEG"),
    "PNG that ends": (
        make(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x30\x00\x00\x00\x30"),
        Code.INVALID_ARGUMENT,
        "",
    ),
    "no Example": (
        make(b"no Example", "serving_default", "examples"),
        Code.INVALID_ARGUMENT,
        "",
    ),
    "bytes for faces": (
        make(b"face", "predict_faces"),
        Code.INVALID_ARGUMENT,
        "to be uint8 but string is provided",
    ),
    "floats for faces": (
        server_process.make_request(np.zeros((1, 48, 48), np.float32)),
        Code.INVALID_ARGUMENT,
        "to be uint8 but float is provided",
    ),
    "doubles, which no signature takes": (
        server_process.make_request(np.zeros((1, 48, 48))),
        Code.INVALID_ARGUMENT,
        "to be uint8 but double is provided",
    ),
    "small faces": (
        server_process.make_request(np.zeros((2, 40, 40), np.uint8)),
        Code.INVALID_ARGUMENT,
        "",
    ),
    "one face without a batch": (
        server_process.make_request(np.zeros((48, 48), np.uint8)),
        Code.INVALID_ARGUMENT,
        "",
    ),
    "no faces": (
        server_process.make_request(np.zeros((0, 48, 48), np.uint8)),
        Code.INVALID_ARGUMENT,
        "",
    ),
    "no images": (
        server_process.make_request(tf.constant([], tf.string), "predict_images"),
        Code.INVALID_ARGUMENT,
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused(stubs, name):
    request, code, message = REFUSED[name]
    expect_error(code, message, stubs.prediction.Predict, request)


def test_inputs_of_other_names_are_listed(stubs):
    request = make()
    request.inputs["mask"].CopyFrom(request.inputs["image"])
    expect_error(
        Code.INVALID_ARGUMENT,
        "input size does not match signature: 2!=1 len({image,mask}) != len({image}). "
        "Sent extra: {mask}. Missing but required: {}.",
        stubs.prediction.Predict,
        request,
    )
    request.inputs.clear()
    expect_error(
        Code.INVALID_ARGUMENT,
        "Missing but required: {image}.",
        stubs.prediction.Predict,
        request,
    )


def test_values_that_do_not_fill_their_shape_are_refused(stubs):
    request = server_process.make_request(np.zeros((2, 48, 48), np.uint8))
    request.inputs["image"].tensor_content = b"few"
    expect_error(
        Code.INVALID_ARGUMENT, "tensor parsing error: image", stubs.prediction.Predict, request
    )


def test_long_names_do_not_come_back_whole(stubs):
    """gRPC's trailers are bounded: an answer that quotes a long name would never arrive."""
    expect_error(
        Code.FAILED_PRECONDITION,
        "...TRUNCATED",
        stubs.prediction.Predict,
        make(signature="x" * 50_000),
    )


def test_config_without_models_is_refused(stubs):
    request = model_management_pb2.ReloadConfigRequest()
    expect_error(
        Code.INVALID_ARGUMENT,
        "Only ModelConfigList is currently supported",
        stubs.model.HandleReloadConfigRequest,
        request,
    )
