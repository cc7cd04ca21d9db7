"""Concurrent requests of one version and signature become one run of the network.

There is no thread of its own: the first request that finds nobody running is the leader. It takes
what has queued up meanwhile, runs it as one batch and hands the results out. A lone request hence
waits for nobody, and while a batch runs the next one gathers.
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
    """Bounds: rows a batch, seconds that a batch waits to fill up, rows a request."""

    max_batch_size: int = 64
    timeout: float = 0.0
    max_request_size: int = 1024  # 16 times a batch: more would keep the others waiting

    def __post_init__(self):
        if self.max_batch_size < 1 or self.max_request_size < 1 or self.timeout < 0:
            raise ValueError(f"expected positive sizes and a timeout of at least 0, got {self}")


class _Task:
    """A request in the queue; `woken` is set once it is done or has to lead the next batch."""

    def __init__(self, rows: np.ndarray, deadline: float | None):
        self.rows = rows
        self.deadline = deadline
        self.queued_at = time.monotonic()
        self.woken = threading.Event()
        self.outputs: Arrays | None = None
        self.error: errors.ServingError | None = None

    @property
    def done(self) -> bool:
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
        self._is_led = False

    def submit(self, rows: np.ndarray, deadline: float | None = None) -> Arrays:
        """Returns the outputs of a request's rows, run in whatever batch.

        Args:
          rows: [N, ...], of one dtype and of the same shape behind N for all requests.
          deadline: by time.monotonic(); a request that is still queued then is not run.

        Raises:
          ServingError: for more rows than a request may have, what the network does not take, and
            a deadline that has passed.
        """
        if len(rows) > self._options.max_request_size:
            raise errors.too_many_rows(len(rows), self._options.max_request_size)
        task = _Task(rows, deadline)
        with self._changed:
            self._queue.append(task)
            leads = not self._is_led
            self._is_led = True
            self._changed.notify()
        if not leads:
            task.woken.wait()
        if not task.done:
            self._lead()
        if task.error is not None:
            raise task.error
        return task.outputs

    def _lead(self) -> None:
        """Runs the next batch, the caller's task at its head, and names the leader behind it."""
        batch = self._take()
        try:
            self._run_batch([task for task in batch if not task.done])
        finally:
            with self._changed:
                self._is_led = bool(self._queue)
                if self._is_led:
                    self._queue[0].woken.set()
            for task in batch:
                task.woken.set()

    def _take(self) -> list[_Task]:
        """Takes the head of the queue and what fits beside it, after the timeout at the latest."""
        limit = self._options.max_batch_size
        with self._changed:
            until = self._queue[0].queued_at + self._options.timeout
            while sum(len(task.rows) for task in self._queue) < limit:
                remaining = until - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            batch = [self._queue.popleft()]
            count = len(batch[0].rows)
            while self._queue and count + len(self._queue[0].rows) <= limit:
                batch.append(self._queue.popleft())
                count += len(batch[-1].rows)
        now = time.monotonic()
        for task in batch:
            metrics.observe_queuing(now - task.queued_at)
            if task.deadline is not None and task.deadline < now:
                task.error = errors.deadline_exceeded()
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
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
