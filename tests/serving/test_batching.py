"""Requests meet in a batch, get their own rows back, and fail alone."""

import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.serving import apis, tensors
from muwnet_fer.serving.server import batching, errors, servable, service
from muwnet_fer.tests.serving import server_process


class Network:
    """Doubles rows and counts the sizes of its runs; refuses negative ones, and waits if told."""

    def __init__(self):
        self.sizes = []
        self.may_run = threading.Event()
        self.may_run.set()
        self.running = threading.Event()

    def __call__(self, rows):
        self.running.set()
        assert self.may_run.wait(20)
        self.sizes.append(len(rows))
        if (rows < 0).any():
            raise tf.errors.InvalidArgumentError(None, None, f"negative row in {len(rows)}")
        return {"doubled": 2 * rows, "rows": np.arange(len(rows))}


def submit_together(batcher, network, requests, **named):
    """Queues requests, in this order, behind one that runs; returns outputs or errors."""
    results = [None] * len(requests)

    def submit(position):
        try:
            results[position] = batcher.submit(requests[position], **named)
        except errors.ServingError as error:
            results[position] = error

    network.may_run.clear()
    network.running.clear()
    first = threading.Thread(target=batcher.submit, args=[np.zeros(1)])
    first.start()
    assert network.running.wait(20)
    threads = [threading.Thread(target=submit, args=[i]) for i in range(len(requests))]
    for position, thread in enumerate(threads):
        thread.start()
        while len(batcher._queue) <= position:
            time.sleep(0.001)
    network.sizes.clear()
    network.may_run.set()
    for thread in [first, *threads]:
        thread.join(20)
        assert not thread.is_alive()
    return results


def test_requests_that_wait_are_run_as_one_batch_and_split():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions())
    requests = [np.full(size, float(size)) for size in (3, 1, 2)]
    results = submit_together(batcher, network, requests)
    assert network.sizes == [1, 6]
    for rows, outputs in zip(requests, results, strict=True):
        np.testing.assert_array_equal(outputs["doubled"], 2 * rows)
    np.testing.assert_array_equal(results[2]["rows"], [4, 5])


def test_batches_stay_below_their_largest_size():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions(max_batch_size=4))
    requests = [np.full(size, float(size)) for size in (3, 2, 2, 9, 1)]
    results = submit_together(batcher, network, requests)
    assert network.sizes == [1, 3, 4, 4, 4, 1, 1]
    for rows, outputs in zip(requests, results, strict=True):
        np.testing.assert_array_equal(outputs["doubled"], 2 * rows)


def test_one_bad_request_harms_its_sender_only():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions())
    results = submit_together(batcher, network, [np.ones(1), -np.ones(2), np.ones(3)])
    assert network.sizes == [1, 6, 1, 2, 3]
    assert results[1].code == grpc.StatusCode.INVALID_ARGUMENT
    assert results[1].message == "negative row in 2"
    np.testing.assert_array_equal(results[0]["doubled"], [2])
    np.testing.assert_array_equal(results[2]["doubled"], [2, 2, 2])
    assert batcher.submit(np.ones(1))["doubled"] == 2


def test_request_whose_deadline_passed_in_the_queue_is_not_run():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions())
    (result,) = submit_together(batcher, network, [np.ones(1)], deadline=time.monotonic())
    assert result.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert network.sizes == [1]


def test_large_request_is_given_up_at_its_deadline():
    sizes = []

    def run(rows):
        sizes.append(len(rows))
        time.sleep(0.3)
        return {"rows": rows}

    batcher = batching.Batcher(run, batching.BatchingOptions(max_batch_size=2))
    with pytest.raises(errors.ServingError) as caught:
        batcher.submit(np.ones(100), deadline=time.monotonic() + 0.4)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert sizes == [2, 2]


def test_batch_waits_for_more_up_to_the_timeout():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions(2, timeout=20.0))
    start = time.monotonic()
    threads = [threading.Thread(target=batcher.submit, args=[np.ones(1)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert network.sizes == [2]
    assert time.monotonic() - start < 10  # a full batch does not wait
    start = time.monotonic()
    batching.Batcher(network, batching.BatchingOptions(2, timeout=0.2)).submit(np.ones(1))
    assert time.monotonic() - start >= 0.2


def test_more_rows_than_a_request_may_have_are_refused():
    batcher = batching.Batcher(Network(), batching.BatchingOptions(max_request_size=8))
    with pytest.raises(errors.ServingError, match="Task size 9 is larger than .* size 8"):
        batcher.submit(np.ones(9))


def test_too_many_rows_are_refused_before_they_are_made(monkeypatch):
    """One value repeated: a tensor of gigabytes in a message of some fifty bytes."""
    batcher = batching.Batcher(Network(), batching.BatchingOptions(max_request_size=8))
    signature = servable.Signature("image", tensors.STRING, (), ("doubled",), batcher)
    proto = apis.TensorProto(dtype=tensors.STRING, string_val=[b"png"])
    proto.tensor_shape.dim.add(size=2**24)
    monkeypatch.setattr(tensors, "to_array", None)
    with pytest.raises(errors.ServingError, match="Task size 16777216 is larger than"):
        service._read_rows(proto, signature)


def test_any_fault_of_the_network_reaches_those_who_wait():
    def fail(rows):
        raise MemoryError("no memory")

    batcher = batching.Batcher(fail, batching.BatchingOptions())
    for _ in range(2):
        with pytest.raises(errors.ServingError, match="no memory") as caught:
            batcher.submit(np.ones(1))
        assert caught.value.code == grpc.StatusCode.INTERNAL


def test_many_threads_get_their_own_answers():
    network = Network()
    batcher = batching.Batcher(network, batching.BatchingOptions(max_batch_size=5))
    wrong = []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(200):
            rows = random.integers(-1, 100, random.integers(1, 4)).astype(float)
            try:
                outputs = batcher.submit(rows)["doubled"]
            except errors.ServingError:
                if (rows >= 0).all():
                    wrong.append(rows)
            else:
                if (outputs != 2 * rows).any() or (rows < 0).any():
                    wrong.append(rows)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    assert max(network.sizes) > 1
    server_process.wait_until(lambda: not batcher._queue and not batcher._is_busy)


def test_a_lone_request_is_run_by_its_own_thread():
    threads = []

    def run(rows):
        threads.append(threading.current_thread())
        return {"rows": rows}

    batching.Batcher(run, batching.BatchingOptions()).submit(np.ones(1))
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("bounds", [{"max_batch_size": 0}, {"timeout": -1}])
def test_bounds_that_make_no_sense_are_refused(bounds):
    with pytest.raises(ValueError, match="expected positive sizes"):
        batching.BatchingOptions(**bounds)
