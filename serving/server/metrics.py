"""What is counted and measured, in Prometheus' form under TensorFlow Serving's path and names.

prometheus_client keeps the figures; docs/serving.md lists them. Times are in microseconds, as
TensorFlow Serving's are.
"""

import contextlib
import time
from collections.abc import Iterator

import prometheus_client
from prometheus_client import core

from muwnet_fer.serving.server import errors

# tensorflow_serving/util/prometheus_exporter.cc 021efbd: kPrometheusPath.
PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

GRPC, REST = "GRPC", "REST"

# Each `_created` sample would be one that TensorFlow Serving does not have.
prometheus_client.disable_created_metrics()


class _Counter:
    """A counter named without `_total`, as TensorFlow Serving's are; prometheus_client adds it."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()):
        self._name = name
        self._counter = prometheus_client.Counter(name, documentation, labels, registry=None)
        self.labels, self.inc = self._counter.labels, self._counter.inc
        _REGISTRY.register(self)

    def collect(self) -> Iterator[core.Metric]:
        """Yields the one metric, untyped: a `counter` would be given the suffix again."""
        for counter in self._counter.collect():
            renamed = core.Metric(self._name, counter.documentation, "unknown")
            for sample in counter.samples:
                renamed.add_sample(self._name, sample.labels, sample.value)
            yield renamed


def _exponential(scale: float, factor: float, count: int) -> list[float]:
    """Returns the upper bounds of monitoring::Buckets::Exponential."""
    return [scale * factor**power for power in range(count)]


_REGISTRY = prometheus_client.CollectorRegistry()

# tensorflow_serving/servables/tensorflow/util.cc 0483edb: names, labels and buckets.
_REQUESTS = _Counter(
    ":tensorflow:serving:request_count", "The total number of requests.", ("model_name", "status")
)
_REQUEST_LATENCY = prometheus_client.Histogram(
    ":tensorflow:serving:request_latency",
    "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
    ("model_name", "API", "entrypoint"),
    buckets=_exponential(10, 1.8, 33),
    registry=_REGISTRY,
)
# tensorflow_serving/batching/batching_session.cc d488ece. A batch is one run of the network.
_RUNS = _Counter(
    ":tensorflow:serving:batching_session:wrapped_run_count",
    "Total count of run calls on the wrapped session",
)
_QUEUING_LATENCY = prometheus_client.Histogram(
    ":tensorflow:serving:batching_session:queuing_latency",
    "Distribution of wall time spent (in microseconds) in queuing",
    ("thread_pool_name",),
    buckets=_exponential(100, 1.2, 52),
    registry=_REGISTRY,
).labels("")
# There it is a PercentileSampler, which Prometheus does not get to see.
_BATCH_SIZE = prometheus_client.Histogram(
    ":tensorflow:serving:batching_session:processed_batch_size",
    "Distribution of the number of faces of a run",
    buckets=_exponential(1, 2, 11),
    registry=_REGISTRY,
)


@contextlib.contextmanager
def observe_predict(model_name: str, entrypoint: str) -> Iterator[None]:
    """Counts a Predict request by its status, and measures it where it is answered.

    Args:
      model_name: of a model there is, else "": clients must not make up label values.
      entrypoint: GRPC or REST.
    """
    start = time.perf_counter()
    status = "INTERNAL"
    try:
        yield
        status = "OK"
    except errors.ServingError as error:
        status = error.code.name
        raise
    finally:
        _REQUESTS.labels(model_name, status).inc()
        if status == "OK":
            microseconds = 1e6 * (time.perf_counter() - start)
            _REQUEST_LATENCY.labels(model_name, "Predict", entrypoint).observe(microseconds)


def observe_queuing(seconds: float) -> None:
    """A request has waited for its batch."""
    _QUEUING_LATENCY.observe(1e6 * seconds)


def observe_run(rows: int) -> None:
    """The network is run."""
    _RUNS.inc()
    _BATCH_SIZE.observe(rows)


def format_page() -> bytes:
    """Returns all figures in Prometheus' text form."""
    return prometheus_client.generate_latest(_REGISTRY)
