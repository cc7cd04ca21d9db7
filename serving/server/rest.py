"""TensorFlow Serving's REST forms over a Service.

GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
POST /v1/models/NAME[/versions/N|/labels/L]:predict

As tensorflow_serving/model_servers/http_rest_api_handler.cc (b6b8cca) and http_rest_api_util.cc
(21360c7); bodies are those of json_tensors.
"""

import os
import re
import threading
import time
import urllib.parse

import grpc
from google.protobuf import json_format

from muwnet_fer.serving import apis
from muwnet_fer.serving.server import errors, http_handler, json_tensors, metrics
from muwnet_fer.serving.server import service as server_service

PATH = r"(?i)/v1/.*"

_MODEL = r"/v1/models{}(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICT = re.compile(
    _MODEL.format("/([^/:]+)") + ":(classify|regress|predict)", re.IGNORECASE | re.ASCII
)
_STATUS = re.compile(_MODEL.format("(?:/([^/:]+))?") + "(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_LARGEST_VERSION = 2**63 - 1
# tensorflow_serving/model_servers/server.h: http_timeout_in_ms.
_DEADLINE = 30.0  # seconds
_SIGNATURE_DEF = "signature_def"
# JSON takes many times its length while it is read: no more bodies at once than there are cores.
_READING = threading.Semaphore(os.cpu_count() or 1)


class Models(http_handler.Handler):
    """Everything below /v1/."""

    SUPPORTED_METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")

    async def get(self) -> None:
        """Answers with a model's status or its metadata."""
        match = _STATUS.fullmatch(self.request.path)
        if match is None:
            self._refuse()
        name, version, label, part = match.groups()
        if not name:
            raise errors.invalid_argument("Missing model name in request.")
        answer = get_metadata if part else get_status
        model_spec = _make_model_spec(name, version, label)
        self.finish_json(await self.context.workers.run(answer, self.context.service, model_spec))

    async def post(self) -> None:
        """Answers with predictions."""
        match = _PREDICT.fullmatch(self.request.path)
        if match is None:
            self._refuse()
        name, version, label, method = match.groups()
        if method.lower() != "predict":
            raise errors.ServingError(
                grpc.StatusCode.UNIMPLEMENTED, f"expected the method predict, got {method}"
            )
        model_spec = _make_model_spec(name, version, label)
        answer = await self.context.workers.run(
            predict, self.context.service, model_spec, self.read_body()
        )
        self.finish(answer)

    def _refuse(self) -> None:
        method, path = self.request.method, self.request.path
        raise errors.invalid_argument(f"Malformed request: {method} {path}")

    head = put = patch = delete = options = _refuse


def predict(service: server_service.Service, model_spec: apis.ModelSpec, body: bytes) -> bytes:
    """Returns the answer to a :predict request.

    Raises:
      ServingError: as `Service.predict`, and for JSON that is no such request.
    """
    known_name = model_spec.name if service.manager.has_model(model_spec.name) else ""
    with metrics.observe_predict(known_name, metrics.REST):
        deadline = time.monotonic() + _DEADLINE
        with _READING:
            request, form = _read_request(service, model_spec, body)
        response = service.predict(request, deadline)
        return json_tensors.format_response(response.outputs, form)


def _read_request(service, model_spec, body) -> tuple[apis.PredictRequest, str]:
    """Returns what a body asks for, and the form of the answer."""
    document = json_tensors.parse(body)
    request = apis.PredictRequest(model_spec=model_spec)
    request.model_spec.signature_name = _check_text(document.get("signature_name", ""))
    dtypes = service.get_input_dtypes(request)
    return request, json_tensors.fill_inputs(document, dtypes, request)


def get_status(service: server_service.Service, model_spec: apis.ModelSpec) -> dict:
    """Returns the states of a model's versions."""
    request = apis.GetModelStatusRequest(model_spec=model_spec)
    return _to_dict(service.get_model_status(request))


def get_metadata(service: server_service.Service, model_spec: apis.ModelSpec) -> dict:
    """Returns a model's signatures."""
    request = apis.GetModelMetadataRequest(model_spec=model_spec, metadata_field=[_SIGNATURE_DEF])
    response = service.get_model_metadata(request)
    signature_defs = apis.SignatureDefMap()
    response.metadata[_SIGNATURE_DEF].Unpack(signature_defs)
    return {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {_SIGNATURE_DEF: _to_dict(signature_defs)},
    }


def _make_model_spec(name: str, version: str | None, label: str | None) -> apis.ModelSpec:
    model_spec = apis.ModelSpec(name=urllib.parse.unquote(name))
    if version:
        # Its length first: Python refuses to convert thousands of digits.
        if len(version) > 4096 or int(version) > _LARGEST_VERSION:
            raise errors.invalid_argument(f"Failed to convert version: {version} to numeric.")
        model_spec.version.value = int(version)
    if label:
        model_spec.version_label = urllib.parse.unquote(label)
    return model_spec


def _check_text(text: str) -> str:
    """Returns a text that a message can hold: JSON may have halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise errors.invalid_argument(f"JSON Parse error: {error.reason}") from error
    return text


def _to_dict(message) -> dict:
    return json_format.MessageToDict(
        message, including_default_value_fields=True, preserving_proto_field_name=True
    )
