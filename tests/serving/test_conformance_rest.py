"""TensorFlow Serving's REST forms, of whichever server MUWNET_SERVER_REST=host:port names.

With neither it nor MUWNET_SERVER the embedded server is started. Where MuWNet's own signatures
matter, the model has to be one of this project, named `muwnet`.
"""

import base64
import os

import numpy as np
import pytest
import requests

from muwnet_fer.data import fer2013
from muwnet_fer.tests.serving import server_process


@pytest.fixture(scope="module")
def url(server_models, tmp_path_factory):
    """Of the model."""
    address = os.environ.get("MUWNET_SERVER_REST")
    if address:
        yield f"http://{address}/v1/models/muwnet"
        return
    if "MUWNET_SERVER" in os.environ:
        pytest.skip("MUWNET_SERVER names a server, MUWNET_SERVER_REST none")
    base_path = tmp_path_factory.mktemp("models")
    server_process.publish(server_models[0], base_path, 1)
    with server_process.serve("--model-dir", base_path, cwd=base_path) as server:
        yield f"{server.rest}/v1/models/muwnet"
        # Nothing that was asked below may have stopped it or made it log a fault of its own.
        assert server.process.poll() is None
        assert "Traceback" not in server.output


@pytest.fixture(scope="module")
def version(url) -> int:
    """Of the model: the newest."""
    statuses = get(url)["model_version_status"]
    return max(int(status["version"]) for status in statuses if status["state"] == "AVAILABLE")


def get(url: str) -> dict:
    response = requests.get(url, timeout=server_process.DEADLINE)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def predict(url: str, **document) -> dict:
    response = requests.post(f"{url}:predict", json=document, timeout=server_process.DEADLINE)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def expect_error(status: int, message: str, method: str, url: str, **named) -> None:
    response = requests.request(method, url, timeout=server_process.DEADLINE, **named)
    assert response.status_code == status, response.text
    assert message in response.json()["error"]


def encode(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def test_rows_and_columns_say_the_same_of_the_same_faces(url, server_faces, server_pngs):
    rows = predict(url, signature_name="predict_faces", instances=server_faces.tolist())
    columns = predict(url, signature_name="predict_faces", inputs=server_faces.tolist())
    assert (rows.keys(), columns.keys()) == ({"predictions"}, {"outputs"})
    probabilities = np.array(columns["outputs"]["probabilities"])
    assert probabilities.shape == (8, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert columns["outputs"]["class_id"] == probabilities.argmax(axis=1).tolist()
    assert columns["outputs"]["label"] == [
        fer2013.EMOTIONS[class_id] for class_id in columns["outputs"]["class_id"]
    ]
    for name, column in columns["outputs"].items():
        assert [row[name] for row in rows["predictions"]] == column
    encoded = [encode(png) for png in server_pngs]
    forms = [
        {"instances": encoded},
        {"instances": [{"image": png} for png in encoded]},
        {"inputs": encoded},
        {"inputs": {"image": encoded}},
    ]
    for form in forms:
        answer = predict(url, signature_name="predict_images", **form)
        if "instances" in form:
            labels = [row["label"] for row in answer["predictions"]]
        else:
            labels = answer["outputs"]["label"]
        assert labels == columns["outputs"]["label"]


def test_floats_have_no_digits_that_mean_nothing(url, server_faces):
    response = requests.post(
        f"{url}:predict",
        json={"signature_name": "predict_faces", "inputs": server_faces.tolist()},
        timeout=server_process.DEADLINE,
    )
    for row in response.json()["outputs"]["probabilities"]:
        for value in row:
            digits = repr(value).partition("e")[0].replace(".", "").strip("0")
            assert len(digits) <= 9  # enough for every float32


def test_a_version_can_be_named(url, version, server_faces):
    named = url + f"/versions/{version}"
    document = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    assert predict(named, **document) == predict(url, **document)
    assert [s["version"] for s in get(named)["model_version_status"]] == [str(version)]
    unknown = f"{url}/versions/987654321"
    message = "Servable not found for request: Specific(muwnet, 987654321)"
    expect_error(404, message, "POST", f"{unknown}:predict", json=document)
    expect_error(404, "Could not find version 987654321 of model muwnet", "GET", unknown)
    too_large = f"{url}/versions/{2**63}"
    requests_get = requests.get(too_large, timeout=server_process.DEADLINE)
    assert requests_get.status_code == 400


def test_status_says_which_versions_there_are(url, version):
    (status,) = (
        status for status in get(url)["model_version_status"] if status["version"] == str(version)
    )
    assert status == {
        "version": str(version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }


@pytest.mark.parametrize("path", ["/metadata", "/versions/{version}/metadata"])
def test_metadata_has_every_signature(url, version, path):
    metadata = get(url + path.format(version=version))
    assert metadata["model_spec"] == {
        "name": "muwnet",
        "signature_name": "",
        "version": str(version),
    }
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    image = signatures["predict_faces"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8"
    assert [size["size"] for size in image["tensor_shape"]["dim"]] == ["-1", "48", "48"]
    assert signatures["predict_faces"]["method_name"] == "tensorflow/serving/predict"
    assert signatures["serving_default"]["inputs"].keys() == {"examples"}


FACE = [[0] * 48] * 48
FACES = {"signature_name": "predict_faces"}
IMAGES = {"signature_name": "predict_images"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({**FACES, "instances": [FACE], "inputs": [FACE]}, "expecting only"),
        ({**FACES, "instances": FACE[0][0]}, "'instances' to be an list/array"),
        ({**FACES, "instances": []}, "No values in 'instances' array"),
        ({**FACES, "instances": ["a face"]}, "is not of expected type: uint8"),
        ({**FACES, "instances": [[[0.5] * 48] * 48]}, "is not of expected type: uint8"),
        ({**FACES, "instances": [[[True] * 48] * 48]}, "is not of expected type: uint8"),
        ({**FACES, "inputs": [FACE, FACE[1:]]}, "Encountered list at unexpected size: 47"),
        ({**FACES, "inputs": [FACE, 1]}, "found at incorrect level: 2"),
        ({**FACES, "inputs": {"picture": [FACE]}}, "Missing named input: image in 'inputs'"),
        ({**FACES, "instances": [{"picture": FACE}]}, ""),
        ({**FACES, "instances": [{"image": FACE}, FACE]}, "Expecting object but got list"),
        ({**FACES, "instances": [FACE, {"image": FACE}]}, "Expecting value/list but got object"),
        ({**IMAGES, "instances": [{"b64": "?"}]}, "Unable to base64 decode"),
        ({**IMAGES, "instances": [1]}, "is not of expected type: string"),
        ({**IMAGES, "instances": [{"b64": "AAAA"}]}, "expected PNG or JPEG"),
        ({"signature_name": "guess", "instances": [1]}, 'name: "guess" not found in signature'),
        ({"signature_name": 1, "instances": [1]}, "'signature_name' key must be a string value"),
        ([FACE], "Is not object"),
    ],
)
def test_bad_requests_are_refused(url, document, message):
    expect_error(400, message, "POST", f"{url}:predict", json=document)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"instances": ' + b"1" * 5000]
)
def test_what_is_no_json_is_refused(url, body):
    expect_error(400, "JSON Parse error", "POST", f"{url}:predict", data=body)


def test_unknown_models_labels_and_paths_are_refused(url):
    document, models = {"instances": [1]}, url.rpartition("/")[0]
    not_found = "Servable not found for request: Latest(nobody)"
    expect_error(404, not_found, "POST", f"{models}/nobody:predict", json=document)
    expect_error(404, not_found, "GET", f"{models}/nobody/metadata")
    expect_error(404, "Could not find any versions of model nobody", "GET", f"{models}/nobody")
    label = "Unrecognized servable version label: nightly"
    expect_error(400, label, "POST", f"{url}/labels/nightly:predict", json=document)
    expect_error(400, label, "GET", f"{url}/labels/nightly/metadata")
    expect_error(400, "Missing model name in request.", "GET", models)
    expect_error(400, "Malformed request: POST", "POST", f"{url}:guess", json=document)
    expect_error(400, "Malformed request: GET", "GET", f"{url}:predict")
    expect_error(400, "Malformed request: PUT", "PUT", url)


def test_paths_are_read_as_tensorflow_serving_does(url, version):
    root, _, name = url.rpartition("/")
    encoded = "".join(f"%{ord(letter):02x}" for letter in name)
    upper = root.replace("/v1/models", "/V1/MODELS")
    for path in (f"{root}/{encoded}", f"{upper}/{name}", f"{upper}/{name}/VERSIONS/{version}"):
        assert get(path)["model_version_status"]
