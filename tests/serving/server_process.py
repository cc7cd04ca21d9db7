"""An embedded server as a child process, and TensorFlow Serving's plain stubs as its client."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from muwnet_fer.tests import commands

_READY = re.compile(r"Serving .* on (\S+) \(gRPC\)\nREST on (\S+)/v1/")
DEADLINE = 30.0


class Stubs:
    """TensorFlow Serving's stubs to one address."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None):
        # Of its own connection: others' load and refusals do not come between.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if credentials:
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, array, signature: str = "predict_faces", key: str = "image", **model_spec):
        """Returns a PredictResponse; `array` is what tf.make_tensor_proto takes."""
        request = make_request(array, signature, key, **model_spec)
        return self.prediction.Predict(request, timeout=DEADLINE)

    def get_states(self, name: str = "muwnet") -> dict[int, int]:
        """Returns the ModelVersionStatus.State of each version."""
        return {status.version: status.state for status in self._get_statuses(name)}

    def get_load_errors(self, name: str = "muwnet") -> dict[int, str]:
        """Returns why each version that could not be loaded could not."""
        statuses = self._get_statuses(name)
        return {
            each.version: each.status.error_message for each in statuses if each.status.error_code
        }

    def _get_statuses(self, name: str):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        return self.model.GetModelStatus(request, timeout=DEADLINE).model_version_status


def make_request(
    array, signature: str = "predict_faces", key: str = "image", name: str = "muwnet", **version
) -> predict_pb2.PredictRequest:
    """Returns a PredictRequest; `version` or `version_label` names a version."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if "version" in version:
        request.model_spec.version.value = version["version"]
    if "version_label" in version:
        request.model_spec.version_label = version["version_label"]
    request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
    return request


def read(response: predict_pb2.PredictResponse) -> dict[str, np.ndarray]:
    """Returns the outputs of a response."""
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


class ServerProcess:
    """A running `muwnet-fer serve`."""

    def __init__(self, process: subprocess.Popen):
        self.process = process
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: _READY.search(self.output) or process.poll() is not None, 120)
        found = _READY.search(self.output)
        assert found, self.output
        self.address, self.rest = found.groups()
        self.stubs = Stubs(self.address)

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output += line

    def terminate(self) -> int:
        """Ends it as an orchestrator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._reader.join()
        return self.process.returncode


@contextlib.contextmanager
def serve(*arguments, cwd: pathlib.Path, **environment: str) -> Iterator[ServerProcess]:
    """Starts `muwnet-fer serve` on a free port and ends it, if the test has not."""
    process = commands.start_command(
        "muwnet-fer", "serve", "--port", "0", "--rest-port", "0", *arguments, cwd=cwd, **environment
    )
    try:
        yield ServerProcess(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(condition: Callable, seconds: float = 30.0) -> None:
    """Waits for a condition, and fails where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def publish(saved_model: pathlib.Path, base_path: pathlib.Path, version: int) -> pathlib.Path:
    """Copies a SavedModel into a base path as a version, whole in one step."""
    hidden = base_path / f".{version}"
    shutil.copytree(saved_model, hidden)
    return hidden.rename(base_path / str(version))
