"""What all answers over HTTP share: bounds, threads for the work, TensorFlow Serving's errors."""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable
from concurrent import futures

import grpc
import tornado.web

from muwnet_fer.serving.server import errors
from muwnet_fer.serving.server import service as server_service

_LOGGER = logging.getLogger(__name__)
_INTERNAL = "the server's log says why"
_LONGEST_NUMBER = 20  # digits: more than any size has

# tensorflow_serving/model_servers/http_server.cc 194173a: ToHTTPStatusCode.
HTTP_STATUSES = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}


class Workers:
    """Threads for what would keep the event loop from answering others.

    Args:
      threads: that work at once.
      max_waiting: calls that may wait for one; more are told to come back.
    """

    def __init__(self, name: str, threads: int, max_waiting: int):
        self._executor = futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free_places = threads + max_waiting

    async def run(self, function: Callable, *arguments):
        """Returns what the function returns, called in a thread; raises what it raises."""
        if self._free_places == 0:
            raise errors.full_queue()
        self._free_places -= 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, function, *arguments)
        finally:
            self._free_places += 1


@dataclasses.dataclass
class Context:
    """What the handlers of one server share."""

    service: server_service.Service
    max_body_bytes: int
    max_under_way: int  # requests whose bodies are kept: more are told to come back
    workers: Workers  # for requests, which mostly wait for their batch
    picture_workers: Workers  # for the search for faces, which takes a processor each
    is_draining: bool = False
    under_way: set["Handler"] = dataclasses.field(default_factory=set)


@tornado.web.stream_request_body
class Handler(tornado.web.RequestHandler):
    """A request with a bounded body and an answer in JSON; subclasses have `get` and `post`.

    They raise ServingError. Nothing a client sends stops the server.
    """

    def initialize(self, context: Context) -> None:
        """Called by tornado."""
        self.context = context
        self._chunks: list[bytes] = []
        self._size = 0
        self.keeps_body = self.request.method == "POST"  # nobody reads another's

    def prepare(self) -> None:
        """Called before the body is read: refuses one that is announced as too large."""
        self.context.under_way.add(self)
        if self.context.is_draining:
            self.set_header("Connection", "close")
            raise errors.ServingError(grpc.StatusCode.UNAVAILABLE, "The server is stopping")
        kept = sum(handler.keeps_body for handler in self.context.under_way)
        if self.keeps_body and kept > self.context.max_under_way:
            self.set_header("Connection", "close")
            raise errors.full_queue()
        length = self.request.headers.get("Content-Length", "0")
        # Python refuses to read a number of thousands of digits.
        announced = int(length[:_LONGEST_NUMBER]) if length.isdecimal() else 0
        self._check_size(announced)

    def data_received(self, chunk: bytes) -> None:
        """Called for parts of the body; what is too large, or nobody reads, is not kept."""
        self._size += len(chunk)
        if self.keeps_body and self._size <= self.context.max_body_bytes:
            self._chunks.append(chunk)

    def read_body(self) -> bytes:
        """Returns the body; raises HTTPError where it is too large."""
        self._check_size(self._size)
        return b"".join(self._chunks)

    def finish_json(self, document: dict) -> None:
        """Answers with an object; tornado's own `finish` would add a charset to the type."""
        self.finish(json.dumps(document))

    def finish(self, chunk: str | bytes | dict | None = None) -> asyncio.Future:
        """Answers; the request is under way until a client took all of the answer, or went."""
        sent = super().finish(chunk)
        sent.add_done_callback(lambda _: self.context.under_way.discard(self))
        return sent

    def on_connection_close(self) -> None:
        """Called when the client went away before it."""
        super().on_connection_close()
        self.context.under_way.discard(self)
        self._chunks.clear()  # a body that waits for its end, which will not come

    def set_default_headers(self) -> None:
        """Called before each answer, errors included."""
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs) -> None:
        """Writes {"error": message}, as MakeJsonFromStatus in json_tensor.cc."""
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        message = self._reason
        if isinstance(error, errors.ServingError):
            self.set_status(HTTP_STATUSES[error.code])
            message = error.message
        elif isinstance(error, tornado.web.HTTPError):
            message = error.log_message or message
        elif error is not None:
            message = _INTERNAL
        self.finish_json({"error": message})

    def log_exception(self, kind, error, traceback) -> None:
        """Logs what is no client's fault."""
        if not isinstance(error, (errors.ServingError, tornado.web.HTTPError)):
            _LOGGER.error("A request failed", exc_info=(kind, error, traceback))

    def _check_size(self, size: int) -> None:
        limit = self.context.max_body_bytes
        if size > limit:
            raise tornado.web.HTTPError(413, f"expected a body of at most {limit} bytes")


class NotFound(Handler):
    """For every path that nothing else answers."""

    def prepare(self) -> None:
        """Refuses it."""
        super().prepare()
        raise tornado.web.HTTPError(404)
