"""The embedded server as a process of its own: versions change, requests go wrong, signals come."""

import shutil
import socket
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import server_process, tls

Status = get_model_status_pb2.ModelVersionStatus
Code = grpc.StatusCode


@pytest.fixture
def base_path(server_models, tmp_path):
    """A folder with version 1."""
    path = tmp_path / "models"
    path.mkdir()
    server_process.publish(server_models[0], path, 1)
    return path


@pytest.fixture(scope="session")
def expected(server_models, server_faces):
    """What each of the models answers in process, [3, 8, 7]."""
    faces = tf.constant(server_faces)
    answers = [
        tf.saved_model.load(str(model)).signatures["predict_faces"](image=faces)["probabilities"]
        for model in server_models
    ]
    assert np.abs(np.diff(answers, axis=0)).max(axis=2).min() > 0.01  # they can be told apart
    return np.stack(answers)


def serve(base_path, *arguments):
    return server_process.serve("--model-dir", base_path, *arguments, cwd=base_path.parent)


def test_new_versions_are_switched_to_without_a_failed_request(
    base_path, server_models, server_faces, expected
):
    stop = threading.Event()

    def work(address, worker):
        stubs, seen = server_process.Stubs(address), []
        while not stop.is_set():
            face = (worker + len(seen)) % 8
            response = stubs.predict(server_faces[face : face + 1])  # raises where it fails
            version = response.model_spec.version.value
            probabilities = server_process.read(response)["probabilities"]
            np.testing.assert_allclose(probabilities[0], expected[version - 1, face], atol=1e-4)
            seen.append(version)
        return seen

    with serve(base_path) as server, futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, server.address, worker) for worker in range(4)]
        try:
            for version in (2, 3):
                time.sleep(0.5)
                server_process.publish(server_models[version - 1], base_path, version)
                server_process.wait_until(
                    lambda: (
                        server.stubs.get_states().get(version) == Status.AVAILABLE  # noqa: B023
                        or any(worker.done() for worker in workers)
                    )
                )
            time.sleep(0.5)
        finally:
            stop.set()
        for worker in workers:
            seen = worker.result(30)
            assert seen == sorted(seen), "an old version answered after a new one"
            assert set(seen) == {1, 2, 3}
        server_process.wait_until(
            lambda: server.stubs.get_states() == {1: Status.END, 2: Status.END, 3: Status.AVAILABLE}
        )


def test_broken_version_is_reported_and_the_old_one_kept(
    base_path, server_models, server_faces, expected
):
    with serve(base_path) as server:
        broken = base_path / "2"
        hidden = base_path / ".2"
        shutil.copytree(server_models[1], hidden)
        (hidden / "variables" / "variables.data-00000-of-00001").write_bytes(b"broken")
        hidden.rename(broken)
        server_process.wait_until(lambda: server.stubs.get_states().get(2) == Status.END)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "muwnet"
        (first, second) = server.stubs.model.GetModelStatus(request).model_version_status
        assert (first.state, first.status.error_code) == (Status.AVAILABLE, 0)
        assert second.status.error_code != 0
        assert str(broken) in second.status.error_message
        time.sleep(2.5)  # further polls neither load nor report it again
        assert server.output.count(f"expected a SavedModel in {broken}") == 1
        assert "serving 1" in server.output
        response = server.stubs.predict(server_faces)
        assert response.model_spec.version.value == 1
        np.testing.assert_allclose(
            server_process.read(response)["probabilities"], expected[0], atol=1e-4
        )
        # Mended in place, it is loaded.
        name = "variables/variables.data-00000-of-00001"
        shutil.copy(server_models[1] / name, broken / name)
        server_process.wait_until(lambda: server.stubs.get_states().get(2) == Status.AVAILABLE)
        assert server.stubs.predict(server_faces).model_spec.version.value == 2


def test_server_that_starts_beside_a_broken_version_serves_the_one_before(base_path, server_faces):
    (base_path / "7").mkdir()
    with serve(base_path) as server:
        assert "Serving muwnet version 1 on 127.0.0.1:" in server.output
        assert server.stubs.predict(server_faces).model_spec.version.value == 1


def test_corrupt_images_harm_their_senders_only(base_path, server_pngs, expected):
    """Each among others in a batch, of the eight requests that wait for it to fill up."""
    images = [server_pngs[0], b"no image", *server_pngs[1:6], server_pngs[6][:100]]
    with serve(base_path, "--batch-timeout", 1000) as server:
        calls = [
            server.stubs.prediction.Predict.future(
                server_process.make_request([image], "predict_images"), timeout=30
            )
            for image in images
        ]
        start = time.monotonic()
        for position, call in enumerate([calls[0], *calls[2:7]]):
            probabilities = server_process.read(call.result())["probabilities"]
            np.testing.assert_allclose(probabilities[0], expected[0, position], atol=1e-4)
        for call in (calls[1], calls[7]):
            assert call.code() == Code.INVALID_ARGUMENT
        assert "as image] [0]" in calls[1].details()  # the sender's numbering, not the batch's
        assert time.monotonic() - start < 3  # one batch, not eight that each waited


def test_sigterm_drains(base_path, server_faces):
    with serve(base_path, "--batch-timeout", 2000) as server:
        health = health_pb2_grpc.HealthStub(server.stubs.channel)
        status = health.Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        call = server.stubs.prediction.Predict.future(
            server_process.make_request(server_faces[:1]), timeout=30
        )
        time.sleep(0.5)
        assert not call.done()
        assert server.terminate() == 0
        assert len(server_process.read(call.result())["label"]) == 1
        assert "Stopping" in server.output and "Traceback" not in server.output
        with pytest.raises(grpc.RpcError) as caught:
            server_process.Stubs(server.address).predict(server_faces)
        assert caught.value.code() == Code.UNAVAILABLE


def test_bounds_of_messages_rows_and_queue(base_path, server_faces):
    arguments = ("--max-message", 3, "--max-queue", 2, "--batch-timeout", 1500)
    with serve(base_path, *arguments) as server:
        predict = server.stubs.prediction.Predict
        oversized = server_process.make_request(np.zeros((1500, 48, 48), np.uint8))
        with pytest.raises(grpc.RpcError) as caught:
            predict(oversized)
        assert caught.value.code() == Code.RESOURCE_EXHAUSTED
        assert "message larger than max" in caught.value.details()
        with pytest.raises(grpc.RpcError, match="Task size 1100 is larger than .* 1024"):
            predict(server_process.make_request(np.zeros((1100, 48, 48), np.uint8)))
        # More rows than a batch are run in several.
        many = np.repeat(server_faces, 20, axis=0)
        labels = server_process.read(server.stubs.predict(many))["label"]
        assert labels.tolist() == np.repeat(labels[::20], 20).tolist()
        calls = [
            predict.future(server_process.make_request(server_faces[:1]), timeout=30)
            for _ in range(5)
        ]
        codes = [call.code() for call in calls]
        assert codes.count(Code.OK) == 2
        assert codes.count(Code.UNAVAILABLE) == 3
        refused = calls[codes.index(Code.UNAVAILABLE)]
        assert "queue to which this task was submitted is full" in refused.details()


CONFIG = """
model_config_list {{ config {{
  name: "muwnet" base_path: "{base_path}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ {versions} }} }}
  {labels}
}} }}
"""


def write_config(file, base_path, versions, **labels):
    text = CONFIG.format(
        base_path=base_path,
        versions=" ".join(f"versions: {version}" for version in versions),
        labels=" ".join(
            f'version_labels {{ key: "{key}" value: {value} }}' for key, value in labels.items()
        ),
    )
    hidden = file.with_name(".new")
    hidden.write_text(text)
    hidden.rename(file)


def test_labels_follow_the_config_file(base_path, server_models, server_faces):
    file = base_path.parent / "models.config"
    write_config(file, base_path, [1], stable=1)
    server_process.publish(server_models[1], base_path, 2)
    with server_process.serve("--model-config", file, cwd=base_path) as server:

        def answering(**version):
            return server.stubs.predict(server_faces, **version).model_spec.version.value

        assert answering(version_label="stable") == answering() == 1
        # In one step it is refused, as by TensorFlow Serving, and nothing changes.
        write_config(file, base_path, [1, 2], stable=1, canary=2)
        message = "Request to assign label to version 2 of model muwnet, which is not currently"
        server_process.wait_until(lambda: message in server.output)
        assert server.stubs.get_states() == {1: Status.AVAILABLE}
        # In two steps it is taken.
        write_config(file, base_path, [1, 2], stable=1)
        server_process.wait_until(lambda: server.stubs.get_states().get(2) == Status.AVAILABLE)
        write_config(file, base_path, [1, 2], stable=1, canary=2)

        def is_labelled(label, version):
            try:
                return answering(version_label=label) == version
            except grpc.RpcError as error:
                assert error.code() == Code.INVALID_ARGUMENT
                return False

        server_process.wait_until(lambda: is_labelled("canary", 2))
        assert answering(version_label="stable") == 1
        assert answering(version=1) == 1
        assert answering() == 2
        # What the file says wrongly is reported, and what was served goes on.
        file.write_text("model_config_list {")
        server_process.wait_until(lambda: "Invalid protobuf file" in server.output)
        assert answering(version_label="canary") == 2
        write_config(file, base_path, [2], stable=2)
        server_process.wait_until(lambda: server.stubs.get_states().get(1) == Status.END)
        assert answering(version_label="stable") == 2
        check_reload(server.stubs, base_path, server_faces)


def check_reload(stubs, base_path, server_faces):
    """HandleReloadConfigRequest of a server with version 2."""
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(
        name="muwnet", base_path=str(base_path), model_platform="tensorflow"
    )
    config.model_version_policy.specific.versions.extend([1, 2])
    config.version_labels["rollback"] = 1

    def expect(code, message):
        with pytest.raises(grpc.RpcError) as caught:
            stubs.model.HandleReloadConfigRequest(request)
        assert caught.value.code() == code
        assert message in caught.value.details()

    expect(Code.FAILED_PRECONDITION, "Request to assign label to version 1")
    assert stubs.get_states()[1] == Status.END
    config.version_labels.clear()
    stubs.model.HandleReloadConfigRequest(request)
    assert stubs.get_states() == {1: Status.AVAILABLE, 2: Status.AVAILABLE}
    config.version_labels["rollback"] = 1
    stubs.model.HandleReloadConfigRequest(request)
    response = stubs.predict(server_faces, version_label="rollback")
    assert response.model_spec.version.value == 1
    other = request.config.model_config_list.config.add(
        name="other", base_path=str(base_path / "nowhere"), model_platform="tensorflow"
    )
    expect(Code.UNKNOWN, "1 model(s) did not become available: {{other due to error: ")
    assert stubs.predict(server_faces).model_spec.version.value == 2
    other.base_path = str(base_path)
    stubs.model.HandleReloadConfigRequest(request)
    assert stubs.predict(server_faces, name="other").model_spec.name == "other"


def test_tls(base_path, tmp_path, server_faces):
    key, certificate = tls.write_pair(tmp_path)
    with serve(base_path, "--tls-key", key, "--tls-certificate", certificate) as server:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        secure = server_process.Stubs(server.address, credentials)
        assert secure.predict(server_faces).model_spec.version.value == 1
        with pytest.raises(grpc.RpcError) as caught:
            server.stubs.predict(server_faces)
        assert caught.value.code() == Code.UNAVAILABLE


def test_what_keeps_a_server_from_starting_is_said(base_path, tmp_path):
    commands.copy_package_without_weights(tmp_path)

    def run(*arguments):
        command = ("muwnet-fer", "serve", "--port", "0", "--rest-port", "0", *arguments)
        return commands.run_command(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path))

    def expect(exit_code, message, *arguments):
        result = run(*arguments)
        assert result.exit_code == exit_code, result.output
        assert message in result.output
        assert "Traceback" not in result.output

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        expect(1, f"cannot listen on 127.0.0.1:{port}", "--model-dir", base_path, "--port", port)
        message = f"cannot listen on 127.0.0.1:{port}: "
        expect(1, message, "--model-dir", base_path, "--rest-port", port)
    empty = tmp_path / "empty"
    empty.mkdir()
    expect(1, f"No versions of servable muwnet under {empty}", "--model-dir", empty)
    expect(1, "or name a model with --model-dir")
    file = tmp_path / "models.config"
    file.write_text("models {}")
    expect(1, "Invalid protobuf file", "--model-config", file)
    expect(2, "got both", "--model-config", file, "--model-dir", base_path)
    expect(2, "got one of them", "--tls-key", file)
    pair = ("--tls-key", file, "--tls-certificate", file)  # neither is one
    expect(1, f"cannot use {file} and its certificate", "--model-dir", base_path, *pair)
