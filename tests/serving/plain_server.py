"""A gRPC server over a SavedModel, with faults on demand: clients are tested on it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf

from muwnet_fer.serving import apis, tensors


class PredictHandler(grpc.GenericRpcHandler):
    """Answers Predict; `faults` are called first, one for each request, and may abort it."""

    def __init__(self, saved_model: str):
        self._model = tf.saved_model.load(saved_model)
        self.faults: list[Callable[[grpc.ServicerContext], None]] = []
        self.requests: list[apis.PredictRequest] = []
        self.peers: set[str] = set()
        self._lock = threading.Lock()

    def service(self, handler_call_details):
        if handler_call_details.method != apis.PREDICT:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._predict, apis.PredictRequest.FromString, apis.PredictResponse.SerializeToString
        )

    def _predict(self, request, context):
        with self._lock:
            self.requests.append(request)
            self.peers.add(context.peer())
            fault = self.faults.pop(0) if self.faults else None
        if fault:
            answer = fault(context)
            if answer is not None:
                return answer
        image = tensors.to_array(request.inputs["image"])
        dtype = tf.string if image.dtype == object else tf.uint8
        signature = self._model.signatures[request.model_spec.signature_name]
        try:
            outputs = signature(image=tf.constant(image, dtype))
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        return answer_with(outputs["probabilities"].numpy())


def answer_with(probabilities: np.ndarray) -> apis.PredictResponse:
    response = apis.PredictResponse()
    response.outputs["probabilities"].CopyFrom(tensors.to_proto(probabilities))
    return response


def abort(code: grpc.StatusCode, details: str) -> Callable[[grpc.ServicerContext], None]:
    """Returns the fault of refusing a request."""
    return lambda context: context.abort(code, details)


@contextlib.contextmanager
def serve(
    handler: PredictHandler,
    address: str = "127.0.0.1:0",
    credentials=None,
    most_calls: int | None = None,
) -> Iterator[str]:
    """Yields the address of a server that is up, and ends it at once afterwards."""
    # No sharing of the port: where another server has it, this one must not start.
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.so_reuseport", 0)],
        maximum_concurrent_rpcs=most_calls,
    )
    server.add_generic_rpc_handlers([handler])
    if credentials:
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"{address.rsplit(':', 1)[0]}:{port}"
    finally:
        server.stop(grace=None).wait()
