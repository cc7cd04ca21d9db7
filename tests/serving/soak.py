"""Requests at a steady rate while new versions are pushed: none may fail, and memory stay flat."""

import concurrent.futures
import dataclasses
import pathlib
import shutil
import threading
import time
from collections.abc import Sequence

import numpy as np
import psutil

from muwnet_fer.serving import client
from muwnet_fer.tests.serving import server_process

_CLIENTS = 8
_KEPT = 2  # versions on disk: the newest and the one before
_SAMPLE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Soak:
    """What came of it. `memory` holds the server's resident MB, a sample a second; `late` are
    requests that began more than a second after their time, since others took too long.
    """

    requests: int
    failures: list[str]
    late: int
    versions: int  # pushed meanwhile and served
    milliseconds: list[float]
    memory: list[float]

    @property
    def growth(self) -> float:
        """MB by which the median of the last third is above that of the middle one."""
        third = len(self.memory) // 3
        middle, last = self.memory[third : 2 * third], self.memory[2 * third :]
        return float(np.median(last) - np.median(middle))


def run(
    models: Sequence[pathlib.Path],
    base_path: pathlib.Path,
    faces: np.ndarray,
    seconds: float,
    rate: float,
    push_seconds: float,
) -> Soak:
    """Serves `base_path`, asks for one face `rate` times a second, and pushes as a pipeline does.

    Args:
      models: SavedModels that are pushed in turns; the first is there from the beginning.
      base_path: an empty folder.
      faces: uint8 [N, 48, 48].
      seconds: how long.
      rate: requests a second, sent at their time however long others take.
      push_seconds: between two versions.
    """
    server_process.publish(models[0], base_path, 1)
    failures: list[str] = []
    milliseconds: list[float] = []
    memory: list[float] = []
    ended = threading.Event()
    late = 0
    with (
        server_process.serve("--model-dir", base_path, cwd=base_path) as server,
        client.EmotionClient(server.address, retry_for=0.0) as emotions,
        concurrent.futures.ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        process = psutil.Process(server.process.pid)

        def push() -> None:
            version = 1
            while not ended.wait(push_seconds):
                version += 1
                server_process.publish(models[version % len(models)], base_path, version)
                if version > _KEPT:
                    shutil.rmtree(base_path / str(version - _KEPT))

        def watch() -> None:
            while not ended.wait(_SAMPLE_SECONDS):
                memory.append(process.memory_info().rss / 1e6)

        def ask(number: int, due: float) -> None:
            nonlocal late
            started = time.monotonic()
            late += started - due > 1
            try:
                emotions.predict([faces[number % len(faces)]])
            except Exception as error:  # whatever it is, the request has failed
                failures.append(f"{type(error).__name__}: {error}")
            milliseconds.append(1000 * (time.monotonic() - started))

        others = [threading.Thread(target=push), threading.Thread(target=watch)]
        for thread in others:
            thread.start()
        began = time.monotonic()
        for number in range(round(seconds * rate)):
            due = began + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            pool.submit(ask, number, due)
        pool.shutdown()
        ended.set()
        for thread in others:
            thread.join()
        broken = server.stubs.get_load_errors()
        failures += [f"version {version} was not loaded: {why}" for version, why in broken.items()]
        versions = len(server.stubs.get_states()) - len(broken) - 1
    return Soak(round(seconds * rate), failures, late, versions, milliseconds, memory)
