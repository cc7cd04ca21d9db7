"""Concurrent requests of one version and signature become one run of the network.

The first request runs itself, in its own thread: a lone one waits for nobody. Those that come
meanwhile gather behind it; the first of them then runs them all as one batch, and so on. One batch
runs at a time, and its operations share the cores.
"""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable

import numpy as np

from muwnet_fer.serving.server import errors, metrics

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """Bounds: rows a batch, seconds that a batch waits to fill up, and rows a request."""

    max_batch_size: int = 64
    timeout: float = 0.0
    max_request_size: int = 1024  # 16 times a batch: more would keep the others waiting

    def __post_init__(self):
        if min(self.max_batch_size, self.max_request_size) < 1 or self.timeout < 0:
            raise ValueError(f"expected positive sizes and a timeout of at least 0, got {self}")


class _Task:
    """Rows in the queue. `turn` is set once there are outputs or an error, or when it is for the
    task's own thread to run the next batch.
    """

    def __init__(self, rows: np.ndarray, deadline: float | None):
        self.rows = rows
        self.deadline = deadline
        self.queued_at = time.monotonic()
        self.turn = threading.Event()
        self.outputs: Arrays | None = None
        self.error: errors.ServingError | None = None

    @property
    def is_finished(self) -> bool:
        return self.outputs is not None or self.error is not None


class Batcher:
    """The batches of one signature of one loaded version.

    Args:
      run: rows [N, ...], N at least 1 -> outputs by name, each [N, ...].
      options: bounds.
    """

    def __init__(self, run: Callable[[np.ndarray], Arrays], options: BatchingOptions):
        self._run = run
        self._options = options
        self._changed = threading.Condition()
        self._queue: collections.deque[_Task] = collections.deque()
        self._is_busy = False  # a task has had its turn, whose batch is not over

    def check_size(self, count: int) -> None:
        """Raises ServingError for more rows than a request may have."""
        if count > self._options.max_request_size:
            raise errors.too_many_rows(count, self._options.max_request_size)

    def submit(self, rows: np.ndarray, deadline: float | None = None) -> Arrays:
        """Returns the outputs of a request's rows, run in whatever batches.

        Args:
          rows: [N, ...], of one dtype and of the same shape behind N for all requests.
          deadline: by time.monotonic(); rows that are still queued then are not run.

        Raises:
          ServingError: for more rows than a request may have, what the network does not take, and
            a deadline that has passed.
        """
        self.check_size(len(rows))
        task = _Task(rows, deadline)
        with self._changed:
            self._queue.append(task)
            self._changed.notify()
            if not self._is_busy:
                self._is_busy = True
                task.turn.set()
        task.turn.wait()
        if not task.is_finished:
            self._run_queue()
        if task.error is not None:
            raise task.error
        return task.outputs

    def _run_queue(self) -> None:
        """Runs the batch at the head of the queue; then the next task there has its turn."""
        batch = self._take()
        try:
            now = time.monotonic()
            for task in batch:
                metrics.observe_queuing(now - task.queued_at)
                if task.deadline is not None and task.deadline < now:
                    task.error = errors.deadline_exceeded()
            self._run_batch([task for task in batch if task.error is None])
        except Exception as error:  # those who wait must get an answer
            for task in batch:
                task.error = errors.from_tensorflow(error)
        finally:
            with self._changed:
                if self._queue:
                    self._queue[0].turn.set()
                else:
                    self._is_busy = False
            for task in batch:
                task.turn.set()

    def _take(self) -> list[_Task]:
        """Takes a batch from the head of the queue, full or after the timeout."""
        limit = self._options.max_batch_size
        with self._changed:
            while sum(len(task.rows) for task in self._queue) < limit:
                remaining = self._queue[0].queued_at + self._options.timeout - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            batch = [self._queue.popleft()]
            count = len(batch[0].rows)
            while self._queue and count + len(self._queue[0].rows) <= limit:
                batch.append(self._queue.popleft())
                count += len(batch[-1].rows)
        return batch

    def _run_batch(self, tasks: list[_Task]) -> None:
        """Runs tasks as one batch; when that fails, each by itself: it alone is harmed."""
        if len(tasks) > 1:
            try:
                outputs = self._run_rows(np.concatenate([task.rows for task in tasks]))
            except errors.ServingError:
                pass
            else:
                start = 0
                for task in tasks:
                    end = start + len(task.rows)
                    task.outputs = {name: array[start:end] for name, array in outputs.items()}
                    start = end
                return
        for task in tasks:
            try:
                task.outputs = self._run_rows(task.rows, task.deadline)
            except errors.ServingError as error:
                task.error = error

    def _run_rows(self, rows: np.ndarray, deadline: float | None = None) -> Arrays:
        """Runs rows, in several runs where a request alone is larger than a batch."""
        limit = self._options.max_batch_size
        parts = []
        for start in range(0, len(rows), limit):
            if parts and deadline is not None and deadline < time.monotonic():
                raise errors.deadline_exceeded()
            part = rows[start : start + limit]
            metrics.observe_run(len(part))
            try:
                parts.append(self._run(part))
            except Exception as error:  # whatever it is, the requests that wait must get an answer
                raise errors.from_tensorflow(error) from error
        return _concatenate(parts)


def _concatenate(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
