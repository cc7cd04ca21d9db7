"""EmotionClient: asks a server for the emotions of faces, by TensorFlow Serving's gRPC protocol.

with client.EmotionClient("127.0.0.1:8500") as emotions:
    print(emotions.predict([pathlib.Path("face.png").read_bytes()])[0].label)
"""

import json
import re
import time
from collections.abc import Sequence

import grpc
import numpy as np

from muwnet_fer.data import model_config
from muwnet_fer.serving import apis, channel, prediction, tensors

Prediction = prediction.Prediction  # what predict() returns

# gRPC allows no more (MAX_MAX_RETRY_ATTEMPTS in its retry_service_config.cc).
_ATTEMPTS = 5
# gRPC's own default waits up to two minutes before it connects again: a server that is back would
# not be noticed. Milliseconds.
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
# The manifests' max_batch_size: TensorFlow Serving with batches refuses larger requests.
_MOST_FACES = 128
_MOST_BYTES = 8 * 2**20  # half of what `muwnet-fer serve` takes: messages are more than pictures
_LABEL_AGAIN = 60.0  # seconds after which a label that the server did not know is asked for again
# What a server without the label says (TensorFlow Serving's GetModelVersionForLabel in
# model_servers/server_core.cc).
_UNKNOWN_LABEL = "Unrecognized servable version label"
_ADDRESS = re.compile(r"(unix:.+|(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5})")


class ServerError(prediction.PredictionError):
    """A server gave no prediction; the message names its address."""


class ServerUnavailableError(ServerError):
    """No server there, or one that takes no requests now, however often it was asked."""


class DeadlineExceededError(ServerError):
    """The answer did not come in time."""


class RequestRefusedError(ServerError):
    """The server cannot answer this request: a corrupt picture, an unknown model or version."""


_ERRORS = {
    grpc.StatusCode.UNAVAILABLE: ServerUnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.INVALID_ARGUMENT: RequestRefusedError,
    grpc.StatusCode.NOT_FOUND: RequestRefusedError,
    grpc.StatusCode.FAILED_PRECONDITION: RequestRefusedError,
    grpc.StatusCode.OUT_OF_RANGE: RequestRefusedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: RequestRefusedError,
}
# Of grpc.server with more calls than its maximum_concurrent_rpcs: RESOURCE_EXHAUSTED, as a message
# that is too large.
_TOO_MANY_CALLS = "Concurrent RPC limit exceeded!"


class EmotionClient:
    """A connection to a server, made at the first request, kept, and made again when it breaks.

    Any number of threads may share one.

    Args:
      address: HOST:PORT, [IPv6]:PORT or unix:PATH.
      model: its name there.
      version, version_label: of the model; by default the label `stable`, and the newest version
        where the server knows no such label, which is found out once a minute.
      deadline: seconds that a request (of 128 faces at most) may take, attempts and the time
        between them included.
      retry_for: seconds over which an unavailable server is tried again, five times in all, each
        pause twice the last; 0 for a single attempt. At most half the deadline, so that the last
        attempt has time too.
      root_certificates: PEM of the authorities to trust; with it the connection is TLS.

    Raises:
      ValueError: for an address of another form, both of version and label, or a time below 0.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8500",
        *,
        model: str = "muwnet",
        version: int | None = None,
        version_label: str | None = None,
        deadline: float = 10.0,
        retry_for: float = 5.0,
        root_certificates: bytes | None = None,
    ):
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f"expected a server as HOST:PORT, got {address!r}")
        if version is not None and version_label is not None:
            raise ValueError(f"expected version or label, got {version} and {version_label!r}")
        if deadline <= 0 or retry_for < 0:
            raise ValueError(f"expected seconds, got deadline {deadline}, retry_for {retry_for}")
        self.address = address
        self._deadline = deadline
        self._spec = apis.ModelSpec(name=model)
        if version is not None:
            self._spec.version.value = version
        else:
            self._spec.version_label = version_label or model_config.STABLE
        is_named = version is not None or version_label is not None
        self._newest = None if is_named else apis.ModelSpec(name=model)
        self._newest_until = 0.0  # time.monotonic() until when it is asked for
        options = [
            *_RECONNECT,
            ("grpc.service_config", _make_service_config(min(retry_for, deadline / 2))),
            # No other configuration, from DNS.
            ("grpc.service_config_disable_resolution", 1),
        ]
        self._channel = channel.open_channel(address, root_certificates, options)
        self._call = self._channel.unary_unary(
            apis.PREDICT,
            request_serializer=apis.PredictRequest.SerializeToString,
            response_deserializer=apis.PredictResponse.FromString,
        )

    def predict(self, images: Sequence[np.ndarray | bytes]) -> list[Prediction]:
        """Returns the predictions of pictures of one face each, in their order.

        They are sent in one request; in two where there are both bytes and arrays, in more where
        there are over 128 or 8 MiB; an empty list takes none.

        Args:
          images: PNG or JPEG bytes, or uint8 arrays, grey [h, w] or of blue, green and red
            [h, w, 3], of any size.

        Raises:
          ServerError: one of its kinds where the server cannot be reached or does not answer.
          TypeError, ValueError: for an image that is neither; nothing is sent then.
        """
        try:
            return prediction.predict(images, self._run)
        except grpc.RpcError as error:
            kind = _ERRORS.get(error.code(), ServerError)
            if error.details() == _TOO_MANY_CALLS:
                kind = ServerUnavailableError
            raise kind(self._describe(f"{error.code().name}: {error.details()}")) from error
        except (prediction.PredictionError, tensors.TensorError) as error:
            raise ServerError(self._describe(str(error))) from error

    def close(self) -> None:
        """Ends the connection and what is under way on it."""
        self._channel.close()

    def __enter__(self) -> "EmotionClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _run(self, signature: str, image: np.ndarray) -> np.ndarray:
        return np.concatenate([self._request(signature, part) for part in _split(image)])

    def _request(self, signature: str, image: np.ndarray) -> np.ndarray:
        uses_newest = time.monotonic() < self._newest_until
        spec = self._newest if uses_newest else self._spec
        request = apis.PredictRequest(output_filter=["probabilities"])
        request.model_spec.CopyFrom(spec)
        request.model_spec.signature_name = signature
        request.inputs["image"].CopyFrom(tensors.to_proto(image))
        try:
            response = self._call(request, timeout=self._deadline)
        except grpc.RpcError as error:
            if self._newest is None or uses_newest or _UNKNOWN_LABEL not in error.details():
                raise
            self._newest_until = time.monotonic() + _LABEL_AGAIN
            return self._request(signature, image)
        # An output that is not there reads as a tensor of no dtype, which is refused.
        return tensors.to_array(response.outputs["probabilities"])

    def _describe(self, got: str) -> str:
        return (
            f"expected model {self._spec.name!r} of the server at {self.address} to answer within "
            f"{self._deadline:g} s, got {got}"
        )


def _split(image: np.ndarray) -> list[np.ndarray]:
    """Returns the rows in parts, each below what a server takes at once, or of one row."""
    starts, size = [0], 0
    for position, row in enumerate(image):
        length = len(row) if isinstance(row, bytes) else row.nbytes
        is_full = position - starts[-1] == _MOST_FACES or size + length > _MOST_BYTES
        if is_full and position > starts[-1]:
            starts.append(position)
            size = 0
        size += length
    return np.split(image, starts[1:])


def _make_service_config(retry_for: float) -> str:
    """Returns gRPC's configuration of its own retries, whose pauses add up to some `retry_for`."""
    method = {"name": [{"service": apis.PREDICTION_SERVICE}]}
    if retry_for > 0:
        first = retry_for / (2 ** (_ATTEMPTS - 1) - 1)  # 1 + 2 + 4 + 8 of it
        method["retryPolicy"] = {
            "maxAttempts": _ATTEMPTS,
            "initialBackoff": f"{first:.9f}s",
            "maxBackoff": f"{retry_for:.9f}s",
            "backoffMultiplier": 2,
            # All that is safe: the server did not take the request.
            "retryableStatusCodes": [grpc.StatusCode.UNAVAILABLE.name],
        }
    return json.dumps({"methodConfig": [method]})
