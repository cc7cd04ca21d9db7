"""EmotionClient against a real gRPC server: answers, retries, deadlines, faults, TLS."""

import concurrent.futures
import datetime
import ipaddress
import threading
import time

import cv2
import grpc
import numpy as np
import portpicker
import pytest
import tensorflow as tf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from muwnet_fer.data import fer2013
from muwnet_fer.serving import client, local_model, prediction
from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import plain_server, server_process

CONFIG = """model_config_list {{ config {{
  name: "muwnet"
  base_path: "{base_path}"
  model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  version_labels {{ key: "stable" value: 1 }}
  version_labels {{ key: "canary" value: 2 }}
}} }}
"""
UNAVAILABLE = plain_server.abort(grpc.StatusCode.UNAVAILABLE, "not now")


@pytest.fixture
def handler(client_model_dir):
    return plain_server.PredictHandler(str(client_model_dir / "1"))


@pytest.fixture
def server(handler):
    with plain_server.serve(handler) as address:
        yield address


@pytest.fixture(scope="module")
def expected(client_model_dir, client_faces) -> np.ndarray:
    """The probabilities of client_faces, by TensorFlow itself."""
    model = tf.saved_model.load(str(client_model_dir / "1"))
    outputs = model.signatures["predict_faces"](image=tf.constant(client_faces))
    return outputs["probabilities"].numpy()


def encode(image, suffix=".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def assert_predicted(predictions, expected):
    assert len(predictions) == len(expected)
    for one, row in zip(predictions, expected, strict=True):
        assert one.label == fer2013.EMOTIONS[row.argmax()]
        assert list(one.probabilities) == list(fer2013.EMOTIONS)
        # float32 rounds otherwise in batches of another size; other faces differ by far more.
        np.testing.assert_allclose(list(one.probabilities.values()), row, atol=1e-5)


def test_arrays_and_pictures_in_any_order_get_the_models_answers(
    server, handler, client_faces, expected
):
    bgr = cv2.cvtColor(client_faces[1], cv2.COLOR_GRAY2BGR)
    images = [client_faces[0], bgr, encode(client_faces[2]), client_faces[3], encode(bgr)]
    with client.EmotionClient(server) as emotions:
        assert_predicted(emotions.predict(images), expected[[0, 1, 2, 3, 1]])
    assert np.ptp(expected, axis=0).max() > 0.01  # another order would show
    signatures = sorted(request.model_spec.signature_name for request in handler.requests)
    assert signatures == ["predict_faces", "predict_images"]


@pytest.mark.parametrize("size", [(24, 24), (96, 96), (480, 480)])
def test_faces_of_any_size_are_scaled(size, client_faces):
    scaled = cv2.resize(client_faces[0], size, interpolation=cv2.INTER_NEAREST)
    face = prediction.to_face(scaled)
    assert face.shape == (48, 48)
    difference = np.abs(client_faces - face.astype(int)).mean(axis=(1, 2))
    assert difference[0] < 12
    assert difference[1:].min() > 40


def test_no_images_are_no_request(handler, server):
    with client.EmotionClient(server) as emotions:
        assert emotions.predict([]) == []
    assert not handler.requests


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("face.png", TypeError, "expected bytes or a uint8 array as an image, got str"),
        (np.zeros((48, 48)), ValueError, r"expected uint8 .*, got float64 \[48, 48\]"),
        (np.zeros((48, 48, 4), np.uint8), ValueError, r"got uint8 \[48, 48, 4\]"),
        (np.zeros((0, 48), np.uint8), ValueError, r"got uint8 \[0, 48\]"),
        (np.zeros(48, np.uint8), ValueError, r"got uint8 \[48\]"),
    ],
)
def test_what_is_no_image_is_never_sent(handler, server, image, error, message, client_faces):
    with client.EmotionClient(server) as emotions, pytest.raises(error, match=message):
        emotions.predict([encode(client_faces[0]), image])
    assert not handler.requests


def test_model_version_and_label_are_named_in_the_request(server, handler, client_faces):
    for options in ({"model": "other", "version": 7}, {"version_label": "canary"}, {}):
        with client.EmotionClient(server, **options) as emotions:
            emotions.predict(client_faces)
    first, second, third = (request.model_spec for request in handler.requests)
    assert (first.name, first.version.value) == ("other", 7)
    assert (second.name, second.version_label) == ("muwnet", "canary")
    assert (third.name, third.version_label) == ("muwnet", "stable")


def test_more_faces_than_a_request_takes_are_sent_in_several(
    server, handler, client_faces, expected
):
    with client.EmotionClient(server) as emotions:
        assert_predicted(emotions.predict([*client_faces] * 50), np.concatenate([expected] * 50))
    counts = [request.inputs["image"].tensor_shape.dim[0].size for request in handler.requests]
    assert counts == [128, 128, 44]


def test_large_pictures_are_sent_in_several_requests(
    server, handler, client_faces, expected, monkeypatch
):
    monkeypatch.setattr(client, "_MOST_BYTES", 800_000)
    large = encode(client_faces[0]) + bytes(300_000)  # what follows a PNG's end is ignored
    with client.EmotionClient(server) as emotions:
        assert_predicted(emotions.predict([large] * 5), np.stack([expected[0]] * 5))
    counts = [request.inputs["image"].tensor_shape.dim[0].size for request in handler.requests]
    assert counts == [2, 2, 1]


def test_a_label_that_a_server_did_not_know_is_asked_for_again(
    server, handler, client_faces, monkeypatch
):
    monkeypatch.setattr(client, "_LABEL_AGAIN", 0.5)
    unknown = plain_server.abort(
        grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: stable"
    )
    handler.faults.append(unknown)
    with client.EmotionClient(server) as emotions:
        emotions.predict(client_faces)
        emotions.predict(client_faces)
        time.sleep(0.6)
        emotions.predict(client_faces)
    labels = [request.model_spec.version_label for request in handler.requests]
    assert labels == ["stable", "", "", "stable"]


def test_a_server_without_labels_is_asked_for_its_newest_version(
    client_model_dir, client_faces, expected, tmp_path
):
    with (
        server_process.serve("--model-dir", client_model_dir, cwd=tmp_path) as served,
        client.EmotionClient(served.address) as emotions,
    ):
        for _ in range(2):
            assert_predicted(emotions.predict(client_faces), expected)
        with (
            client.EmotionClient(served.address, version_label="stable") as named,
            pytest.raises(client.RequestRefusedError, match="version label: stable"),
        ):
            named.predict(client_faces)


def test_the_stable_version_is_asked_where_there_is_one(server_models, client_faces, tmp_path):
    for version in (1, 2):
        server_process.publish(server_models[version - 1], tmp_path, version)
    config = tmp_path / "config.pbtxt"
    config.write_text(CONFIG.format(base_path=tmp_path))
    stable, canary = (
        tf.saved_model.load(str(model)).signatures["predict_faces"](image=client_faces)
        for model in server_models[:2]
    )
    with server_process.serve("--model-config", config, cwd=tmp_path) as served:
        with client.EmotionClient(served.address) as emotions:
            assert_predicted(emotions.predict(client_faces), stable["probabilities"].numpy())
        with client.EmotionClient(served.address, version_label="canary") as emotions:
            assert_predicted(emotions.predict(client_faces), canary["probabilities"].numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"address": "localhost"}, "expected a server as HOST:PORT, got 'localhost'"),
        ({"address": "http://localhost:8500"}, "got 'http://localhost:8500'"),
        ({"version": 1, "version_label": "stable"}, "expected version or label"),
        ({"deadline": 0}, "deadline 0"),
        ({"retry_for": -1}, "retry_for -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        client.EmotionClient(**arguments)


# === Faults ===


def test_unavailable_is_tried_again_until_it_answers(server, handler, client_faces, expected):
    handler.faults = [UNAVAILABLE] * 4
    with client.EmotionClient(server, retry_for=0.5) as emotions:
        started = time.monotonic()
        assert_predicted(emotions.predict(client_faces), expected)
    assert len(handler.requests) == 5
    # gRPC varies each pause by a fifth.
    assert 0.3 < time.monotonic() - started < 5


def test_always_unavailable_is_an_error_that_names_the_server(server, handler, client_faces):
    handler.faults = [UNAVAILABLE] * 9
    with client.EmotionClient(server, retry_for=0.2) as emotions:
        with pytest.raises(client.ServerUnavailableError, match=f"{server}.* UNAVAILABLE: not now"):
            emotions.predict(client_faces)
    assert len(handler.requests) == 5


def test_retries_end_before_the_deadline(client_faces):
    """What is wrong is that there is no server, not that it is slow."""
    address = f"127.0.0.1:{portpicker.pick_unused_port()}"
    with client.EmotionClient(address, deadline=1, retry_for=60) as emotions:
        with pytest.raises(client.ServerUnavailableError):
            emotions.predict(client_faces)


def test_without_retries_there_is_one_attempt(server, handler, client_faces):
    handler.faults = [UNAVAILABLE]
    with client.EmotionClient(server, retry_for=0) as emotions:
        with pytest.raises(client.ServerUnavailableError):
            emotions.predict(client_faces)
    assert len(handler.requests) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALID_ARGUMENT", client.RequestRefusedError),
        ("NOT_FOUND", client.RequestRefusedError),
        ("FAILED_PRECONDITION", client.RequestRefusedError),
        ("RESOURCE_EXHAUSTED", client.RequestRefusedError),
        ("INTERNAL", client.ServerError),
        ("ABORTED", client.ServerError),
    ],
)
def test_other_errors_are_not_tried_again(server, handler, client_faces, code, error):
    handler.faults = [plain_server.abort(grpc.StatusCode[code], "because")]
    with client.EmotionClient(server) as emotions:
        with pytest.raises(error, match=f"{server}.* {code}: because") as raised:
            emotions.predict(client_faces)
        assert raised.type is error
        assert len(handler.requests) == 1
        assert len(emotions.predict(client_faces)) == len(client_faces)


def test_corrupt_picture_is_refused_with_the_models_words(server, client_faces):
    with client.EmotionClient(server) as emotions:
        with pytest.raises(client.RequestRefusedError, match="expected PNG or JPEG"):
            emotions.predict([encode(client_faces[0]), b"nothing"])


def test_deadline_bounds_a_slow_answer(server, handler, client_faces):
    release = threading.Event()
    handler.faults = [lambda _: release.wait(30) and None]
    with client.EmotionClient(server, deadline=0.3) as emotions:
        started = time.monotonic()
        with pytest.raises(client.DeadlineExceededError, match=f"{server} to answer within 0.3 s"):
            emotions.predict(client_faces)
        assert time.monotonic() - started < 3
        release.set()
        assert len(handler.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((6, 5), np.float32), r"expected probabilities .*\[6, 7\], got .*\[6, 5\]"),
        (np.zeros((5, 7), np.float32), r"got float32 \[5, 7\]"),
        (np.zeros((6, 7), np.int64), r"got int64 \[6, 7\]"),
        (None, "expected DT_FLOAT"),
    ],
)
def test_another_models_answer_is_no_prediction(server, handler, client_faces, answer, message):
    empty = plain_server.apis.PredictResponse()
    handler.faults = [lambda _: empty if answer is None else plain_server.answer_with(answer)]
    with client.EmotionClient(server) as emotions:
        with pytest.raises(client.ServerError, match=message) as raised:
            emotions.predict(client_faces)
    assert server in str(raised.value)


def test_no_server_there_is_an_error_within_the_time_for_retries(client_faces):
    address = f"127.0.0.1:{portpicker.pick_unused_port()}"
    with client.EmotionClient(address, retry_for=0.5) as emotions:
        started = time.monotonic()
        with pytest.raises(client.ServerUnavailableError, match=f"{address}.*[Cc]onnect"):
            emotions.predict(client_faces)
    assert 0.3 < time.monotonic() - started < 5


def test_unknown_host_is_an_error_that_names_it(client_faces):
    with client.EmotionClient("nowhere.invalid:8500", retry_for=0.2) as emotions:
        with pytest.raises(client.ServerUnavailableError, match="nowhere.invalid:8500"):
            emotions.predict(client_faces)


def test_server_that_starts_late_is_waited_for(handler, client_faces, expected):
    address = f"127.0.0.1:{portpicker.pick_unused_port()}"
    with client.EmotionClient(address, retry_for=5) as emotions:
        with concurrent.futures.ThreadPoolExecutor() as threads:
            pending = threads.submit(emotions.predict, client_faces)
            time.sleep(1)
            assert not pending.done()
            with plain_server.serve(handler, address):
                assert_predicted(pending.result(), expected)


def test_server_that_is_gone_and_back_is_found_again(handler, client_faces, expected):
    address = f"127.0.0.1:{portpicker.pick_unused_port()}"
    with client.EmotionClient(address, retry_for=0.2) as emotions:
        with plain_server.serve(handler, address):
            assert_predicted(emotions.predict(client_faces), expected)
        # Asked on and on, gRPC by itself would let the time between two connections grow to 4 s.
        gone_until = time.monotonic() + 6
        while time.monotonic() < gone_until:
            with pytest.raises(client.ServerUnavailableError):
                emotions.predict(client_faces)
        with plain_server.serve(handler, address):
            deadline = time.monotonic() + 2
            while True:
                try:
                    assert_predicted(emotions.predict(client_faces), expected)
                    break
                except client.ServerUnavailableError:
                    assert time.monotonic() < deadline


def test_server_that_was_killed_is_found_again_by_the_retries(
    client_model_dir, client_faces, expected
):
    port = str(portpicker.pick_unused_port())
    options = ("--model-dir", client_model_dir / "1", "--no-rest")
    arguments = ("muwnet-fer", "serve", "--port", port, *options)
    with client.EmotionClient(f"127.0.0.1:{port}", retry_for=60, deadline=120) as emotions:
        with concurrent.futures.ThreadPoolExecutor() as threads:
            for _ in range(2):
                process = commands.start_command(*arguments, cwd=client_model_dir)
                try:
                    pending = threads.submit(emotions.predict, client_faces)
                    assert_predicted(pending.result(100), expected)
                finally:
                    process.kill()
                    process.wait(30)


def test_a_server_with_more_calls_than_it_takes_is_unavailable(handler, client_faces, expected):
    asked, may_answer = threading.Event(), threading.Event()

    def wait(context):
        asked.set()
        may_answer.wait(30)

    handler.faults.append(wait)
    with plain_server.serve(handler, most_calls=1) as address:
        with client.EmotionClient(address) as emotions:
            with concurrent.futures.ThreadPoolExecutor() as threads:
                first = threads.submit(emotions.predict, client_faces)
                assert asked.wait(30)
                with pytest.raises(client.ServerUnavailableError, match="Concurrent RPC limit"):
                    emotions.predict(client_faces)
                may_answer.set()
                assert_predicted(first.result(), expected)


# === The connection ===


def test_threads_share_one_connection(server, handler, client_faces, expected):
    with client.EmotionClient(server) as emotions:

        def ask(number):
            rows = [number % 6, (number + 1) % 6]
            assert_predicted(emotions.predict(client_faces[rows]), expected[rows])

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, range(64)))
    assert len(handler.requests) == 64
    assert len(handler.peers) == 1


def test_closed_client_asks_no_more(server, client_faces):
    emotions = client.EmotionClient(server)
    with emotions:
        emotions.predict(client_faces)
    emotions.close()
    with pytest.raises(ValueError, match="closed"):
        emotions.predict(client_faces)


def make_certificate() -> tuple[bytes, bytes]:
    """Returns key and certificate of 127.0.0.1, signed by itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


def test_tls_server_is_asked_by_those_who_trust_it(handler, client_faces, expected):
    key, certificate = make_certificate()
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    _, another = make_certificate()
    with plain_server.serve(handler, credentials=credentials) as address:
        with client.EmotionClient(address, root_certificates=certificate) as emotions:
            assert_predicted(emotions.predict(client_faces), expected)
        for wrong in (another, None):
            with client.EmotionClient(address, root_certificates=wrong, retry_for=0) as emotions:
                with pytest.raises(client.ServerUnavailableError, match=address):
                    emotions.predict(client_faces)


# === In process ===


def test_model_in_process_answers_as_the_server_does(client_model_dir, client_faces, expected):
    images = [*client_faces[:2], encode(client_faces[2])]
    for folder in (client_model_dir, client_model_dir / "1"):
        model = local_model.LocalModel(folder)
        assert_predicted(model.predict(images), expected[:3])
        assert model.predict([]) == []
        with pytest.raises(prediction.PredictionError, match="expected PNG or JPEG"):
            model.predict([b"nothing"])


def test_newest_version_is_loaded(client_model_dir, tmp_path):
    for name in ("9", "10", "unfinished"):
        (tmp_path / name).symlink_to(client_model_dir / "1")
    assert local_model.LocalModel(tmp_path).path == tmp_path / "10"


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(prediction.PredictionError, match=f"named by numbers, got {tmp_path}"):
        local_model.LocalModel(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(prediction.PredictionError, match=f"expected a SavedModel at {tmp_path}"):
        local_model.LocalModel(tmp_path)
    module = tf.Module()
    module.double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"double": module.double})
    with pytest.raises(prediction.PredictionError, match="predict_images, got double"):
        local_model.LocalModel(tmp_path / "other")
