"""The embedded server: TensorFlow Serving's protocols over a SavedModel, in one process.

muwnet-fer serve [--model-dir DIR | --model-config FILE]
"""

import contextlib
import dataclasses
import gc
import logging
import pathlib
import signal
import ssl
import threading
from collections.abc import Callable, Iterator

import grpc
from grpc_health.v1 import health_pb2

from muwnet_fer.serving.server import (
    batching,
    errors,
    grpc_service,
    http_server,
    model_config,
    model_manager,
    service,
)

MODEL_NAME = "muwnet"


class ServerError(RuntimeError):
    """A server that cannot start; the message says why."""


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """How a server listens, and its bounds; port 0 is any free one, rest_port None for no REST."""

    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int | None = None
    tls_key: pathlib.Path | None = None
    tls_certificate: pathlib.Path | None = None
    batches: batching.BatchingOptions = batching.BatchingOptions()
    max_queue_size: int = 64
    max_message_bytes: int = 16 * 2**20
    poll_seconds: float = 1.0
    drain_seconds: float = 30.0


@dataclasses.dataclass(frozen=True)
class Running:
    """A server that answers: its Service and its ports."""

    service: service.Service
    port: int
    rest_port: int | None


def follow_folder(base_path: pathlib.Path) -> Callable[[], model_config.Config]:
    """Returns a `read_config` of one model, of which the newest version in a folder is served."""
    config = {MODEL_NAME: model_config.Model(MODEL_NAME, base_path.absolute())}
    return lambda: config


def follow_file(file: pathlib.Path) -> Callable[[], model_config.Config]:
    """Returns a `read_config` that reads a model config file again each time."""
    return lambda: model_config.read(file)


@contextlib.contextmanager
def start(
    read_config: Callable[[], model_config.Config], options: ServerOptions
) -> Iterator[Running]:
    """Serves within the `with`, once the models are loaded.

    At its end no new request is taken, and those under way have `drain_seconds` to end.

    Raises:
      ServerError: for a port in use, a key that cannot be read, and models that cannot be loaded.
    """
    manager = model_manager.ModelManager(read_config, options.batches)
    answers = service.Service(manager, options.max_queue_size)
    server, health = grpc_service.create_server(
        answers, options.max_queue_size, options.max_message_bytes
    )
    tls = _load_tls(options)  # first: of a bad key, gRPC says that it cannot bind
    port = _listen(server, options)
    rest = _bind_rest(answers, options, tls)
    # What is imported stays: to look for garbage in it at every unloading would take long.
    gc.freeze()
    try:
        manager.start(options.poll_seconds)
    except (errors.ServingError, OSError) as error:
        raise ServerError(str(error)) from error
    server.start()
    rest_port = rest.start() if rest else None
    grpc_service.set_health(health, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield Running(answers, port, rest_port)
    finally:
        health.enter_graceful_shutdown()
        stopped = server.stop(options.drain_seconds)
        if rest:
            rest.close(options.drain_seconds)
        stopped.wait()
        manager.close()


def run(
    read_config: Callable[[], model_config.Config],
    options: ServerOptions,
    echo: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises: see `start`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with start(read_config, options) as running:
        models = "; ".join(
            f"{name} version {', '.join(map(str, versions))}"
            for name, versions in running.service.manager.list_models().items()
        )
        echo(f"Serving {models} on {_join(options.host, running.port)} (gRPC)")
        if running.rest_port is not None:
            scheme = "https" if options.tls_key else "http"
            address = f"{scheme}://{_join(options.host, running.rest_port)}"
            echo(f"REST on {address}/v1/models/{MODEL_NAME}, web page on {address}/")
        stopped.wait()
        echo("Stopping: no new requests, ending those under way")


def _listen(server: grpc.Server, options: ServerOptions) -> int:
    address = _join(options.host, options.port)
    try:
        if options.tls_key is None or options.tls_certificate is None:
            return server.add_insecure_port(address)
        pair = (options.tls_key.read_bytes(), options.tls_certificate.read_bytes())
        return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise ServerError(f"cannot listen on {address}: {error}") from error


def _load_tls(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_key is None or options.tls_certificate is None:
        return None
    try:
        return http_server.load_tls(options.tls_key, options.tls_certificate)
    except OSError as error:
        raise ServerError(f"cannot use {options.tls_key} and its certificate: {error}") from error


def _bind_rest(
    answers: service.Service, options: ServerOptions, tls: ssl.SSLContext | None
) -> http_server.HttpServer | None:
    if options.rest_port is None:
        return None
    try:
        sockets = http_server.bind(options.host, options.rest_port)
    except OSError as error:
        address = _join(options.host, options.rest_port)
        raise ServerError(f"cannot listen on {address}: {error}; see --rest-port") from error
    return http_server.HttpServer(
        answers, sockets, tls, options.max_queue_size, options.max_message_bytes
    )


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
