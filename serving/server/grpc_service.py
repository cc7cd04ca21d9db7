"""TensorFlow Serving's gRPC services over a Service, and gRPC's standard health checking."""

import logging
import time
from collections.abc import Callable
from concurrent import futures

import grpc
from google.protobuf import message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from muwnet_fer.serving import apis
from muwnet_fer.serving.server import errors, metrics
from muwnet_fer.serving.server import service as server_service

_LOGGER = logging.getLogger(__name__)

# Threads beside those whose requests wait: for refusals, statuses and health.
_SPARE_THREADS = 8
SERVICES = ("", apis.PREDICTION_SERVICE, apis.MODEL_SERVICE)


def create_server(
    service: server_service.Service, max_queue_size: int, max_message_bytes: int
) -> tuple[grpc.Server, health.HealthServicer]:
    """Returns a server, without a port and not started, and its health, not serving yet.

    Args:
      service: that answers.
      max_queue_size: of the service.
      max_message_bytes: of a request; larger ones are RESOURCE_EXHAUSTED.
    """
    threads = max_queue_size + _SPARE_THREADS
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a port in use is an error, not shared
        ],
        # gRPC has read a request before it asks for a thread: what waits there is bounded, too.
        maximum_concurrent_rpcs=2 * threads,
    )
    health_servicer = health.HealthServicer()
    set_health(health_servicer, health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)

    def predict(request, deadline):
        name = request.model_spec.name
        known_name = name if service.manager.has_model(name) else ""
        with metrics.observe_predict(known_name, metrics.GRPC):
            return service.predict(request, deadline)

    methods = {
        apis.PREDICT: (predict, apis.PredictRequest),
        apis.GET_MODEL_METADATA: (service.get_model_metadata, apis.GetModelMetadataRequest),
        apis.GET_MODEL_STATUS: (service.get_model_status, apis.GetModelStatusRequest),
        apis.RELOAD_CONFIG: (service.reload_config, apis.ReloadConfigRequest),
    }
    for path, (answer, request_class) in methods.items():
        _, service_name, method = path.split("/")
        handler = grpc.unary_unary_rpc_method_handler(
            _handle(answer, request_class, takes_deadline=path == apis.PREDICT),
            response_serializer=lambda response: response.SerializeToString(),
        )
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service_name, {method: handler})]
        )
    return server, health_servicer


def set_health(servicer: health.HealthServicer, status: int) -> None:
    """Gives the server and each of its services one HealthCheckResponse.ServingStatus."""
    for service_name in SERVICES:
        servicer.set(service_name, status)


def _handle(answer: Callable, request_class: type, takes_deadline: bool) -> Callable:
    """Returns gRPC's handler of bytes: errors become status codes, and none stops the server."""

    def handle(content: bytes, context: grpc.ServicerContext):
        try:
            # Here, since gRPC logs a traceback where its deserializer fails.
            request = request_class.FromString(content)
            if not takes_deadline:
                return answer(request)
            remaining = context.time_remaining()
            return answer(request, None if remaining is None else time.monotonic() + remaining)
        except message.DecodeError as error:
            refused = errors.not_a_message(str(error))
        except errors.ServingError as error:
            refused = error
        except Exception:
            _LOGGER.exception("A request failed")
            refused = errors.ServingError(grpc.StatusCode.INTERNAL, "the server's log says why")
        context.abort(refused.code, refused.message)

    return handle
