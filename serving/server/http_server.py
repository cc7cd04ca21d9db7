"""The REST port: TensorFlow Serving's REST forms and metrics, and the web page, by tornado.

Tornado's loop runs in a thread of its own and works in others, so that concurrent requests are
batched, those of gRPC among them.
"""

import asyncio
import logging
import os
import pathlib
import socket
import ssl
import threading
import time

import tornado.httpserver
import tornado.netutil
import tornado.web

from muwnet_fer.serving.server import http_handler, metrics, page, rest
from muwnet_fer.serving.server import service as server_service

_SPARE_THREADS = 8  # beside those whose requests wait, as gRPC's
_IDLE_SECONDS, _BODY_SECONDS = 300.0, 60.0
_MAX_HEADER_BYTES = 64 * 1024
_UNBOUNDED = 2**62  # handlers have their own bound, and refuse in words


class Metrics(http_handler.Handler):
    """Prometheus' page."""

    async def get(self) -> None:
        """Writes it."""
        self.set_header("Content-Type", metrics.CONTENT_TYPE)
        self.finish(await self.context.workers.run(metrics.format_page))


class HttpServer:
    """Answers on sockets from `start` until `close`.

    Args:
      service: that answers.
      sockets: of `bind`.
      tls: of `load_tls`; None is plain HTTP.
      max_queue_size: of the service.
      max_body_bytes: of a request.
    """

    def __init__(
        self,
        service: server_service.Service,
        sockets: list[socket.socket],
        tls: ssl.SSLContext | None,
        max_queue_size: int,
        max_body_bytes: int,
    ):
        threads = max_queue_size + _SPARE_THREADS
        processors = os.cpu_count() or 1
        self._context = http_handler.Context(
            service,
            max_body_bytes,
            2 * threads,
            http_handler.Workers("rest", threads, threads),
            http_handler.Workers("faces", processors, 4 * processors),
        )
        self._sockets = sockets
        self._port = sockets[0].getsockname()[1]
        self._tls = tls
        self._drain_seconds = 0.0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> int:
        """Returns the port, when requests are answered."""
        self._thread.start()
        self._started.wait()
        return self._port

    def close(self, drain_seconds: float) -> None:
        """Takes no new requests, and gives those under way this long to end."""
        self._drain_seconds = drain_seconds
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = tornado.httpserver.HTTPServer(
            _make_application(self._context),
            ssl_options=self._tls,
            max_body_size=_UNBOUNDED,
            max_header_size=_MAX_HEADER_BYTES,
            idle_connection_timeout=_IDLE_SECONDS,
            body_timeout=_BODY_SECONDS,
        )
        server.add_sockets(self._sockets)
        self._started.set()
        await self._stopping.wait()
        server.stop()
        self._context.is_draining = True
        until = time.monotonic() + self._drain_seconds
        while self._context.under_way and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await server.close_all_connections()


def bind(host: str, port: int) -> list[socket.socket]:
    """Returns sockets that listen; port 0 is any free one.

    Raises:
      OSError: for a port in use, and an unknown host.
    """
    return tornado.netutil.bind_sockets(port, host)


def load_tls(key: pathlib.Path, certificate: pathlib.Path) -> ssl.SSLContext:
    """Returns what makes the server speak TLS.

    Raises:
      OSError: for files that are no such pair.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def _make_application(context: http_handler.Context) -> tornado.web.Application:
    logging.getLogger("tornado").setLevel(logging.ERROR)  # clients' faults do not fill the log
    arguments = {"context": context}
    routes = [(rest.PATH, rest.Models), (metrics.PATH, Metrics), *page.ROUTES]
    return tornado.web.Application(
        [(path, handler, arguments) for path, handler in routes],
        default_handler_class=http_handler.NotFound,
        default_handler_args=arguments,
        log_function=lambda handler: None,
    )
