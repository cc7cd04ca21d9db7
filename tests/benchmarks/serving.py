"""The server's round trip, throughput and cold start, beside the model alone and `fer`'s.

    make bench-serving
    python tests/benchmarks/serving.py [--model-dir DIR] [--seconds S]

Server, clients and the model alone are processes of their own on one machine. What is compared is
measured in turns, within one run: read the ratios, the machine is noisy.
"""

import argparse
import concurrent.futures
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import tabulate

from muwnet_fer.data import fer2013
from muwnet_fer.serving import client
from muwnet_fer.tests import commands
from muwnet_fer.tests.benchmarks import timing
from muwnet_fer.tests.serving import server_process

TURNS = 5
WARMUP = 50  # requests
CONCURRENCY = 8
FER = "fer==25.10.3"
LITE = "`lite` on one core"
PARTS = pathlib.Path(__file__).parent
FACE = np.random.default_rng(1).integers(0, 256, (fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), np.uint8)


class Alone:
    """A child process that calls a model; the first argument of its script is what to load."""

    def __init__(self, python: pathlib.Path | str, script: str, *arguments: str):
        self._process = subprocess.Popen(
            [str(python), "-Wignore", str(PARTS / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.description = self._process.stdout.readline().strip()
        if not self.description:
            raise SystemExit(f"{script} did not start")

    def measure(self, seconds: float) -> dict[str, list[float]]:
        """Returns the milliseconds of each call, by kind of call."""
        print(seconds, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


class Load:
    """Clients of a server, each a thread of its own with a connection of its own."""

    def __init__(self, address: str, concurrency: int):
        self._clients = [client.EmotionClient(address) for _ in range(concurrency)]
        self._pool = concurrent.futures.ThreadPoolExecutor(concurrency)
        for emotions in self._clients:
            for _ in range(WARMUP):
                emotions.predict([FACE])

    def measure(self, seconds: float) -> list[float]:
        """Returns the milliseconds of each request of one face."""
        calls = [
            self._pool.submit(timing.time_calls, lambda each=each: each.predict([FACE]), seconds)
            for each in self._clients
        ]
        return [took for call in calls for took in call.result()]

    def close(self) -> None:
        self._pool.shutdown()
        for emotions in self._clients:
            emotions.close()


@contextlib.contextmanager
def serve(model_dir: pathlib.Path, *options: str) -> Iterator[server_process.ServerProcess]:
    with server_process.serve("--model-dir", model_dir, *options, cwd=model_dir) as server:
        yield server


def measure_cold_start(model_dir: pathlib.Path) -> float:
    """Returns the seconds from starting the server's process to its first answer."""
    started = time.perf_counter()
    with serve(model_dir) as server, client.EmotionClient(server.address) as emotions:
        emotions.predict([FACE])
        return time.perf_counter() - started


def install_fer(folder: pathlib.Path) -> pathlib.Path | None:
    """Returns the Python of an environment with `fer`, made once; None where pip fails."""
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        # Its classifier alone: the rest of its requirements are torch and a film editor.
        pip = [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "-c",
            commands.ROOT / "requirements/lock-py311.txt",
        ]
        wanted = [
            "tensorflow",
            "tf-keras<2.17",
            "opencv-python",
            "pandas",
            "requests",
            "tqdm",
            "pillow",
        ]
        for arguments in ([*pip, *wanted], [*pip, "--no-deps", FER]):
            if subprocess.run(list(map(str, arguments))).returncode:
                return None
        (folder / ".installed").touch()
    return python


def export_packaged(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Writes weights of the package as version 1 of a model."""
    export = commands.run_command("muwnet-fer", "weights", "export", name, f"{name}/1", cwd=folder)
    if export.exit_code:
        raise SystemExit(export.output)
    return folder / name


def measure_all(
    model_dir: pathlib.Path, lite_dir: pathlib.Path, seconds: float
) -> dict[str, list[float]]:
    """Returns the milliseconds of each call, by what was called; all take turns."""
    with contextlib.ExitStack() as stack:
        alone = [
            Alone(sys.executable, "saved_model_alone.py", str(model_dir)),
            Alone(sys.executable, "saved_model_alone.py", str(lite_dir), LITE),
        ]
        if python := install_fer(commands.ROOT / ".venv" / "fer"):
            alone.append(Alone(python, "fer_alone.py", ""))
        else:
            print(f"{FER} could not be installed: its rows are missing")
        for child in alone:
            stack.callback(child.close)
        loads = {}
        for name, options in {"": (), ", batches off": ("--max-batch-size", "1")}.items():
            server = stack.enter_context(serve(model_dir, *options))
            for concurrency in (1, CONCURRENCY):
                load = Load(server.address, concurrency)
                stack.callback(load.close)
                loads[f"gRPC, {concurrency} at a time{name}"] = load
        took: dict[str, list[float]] = {}
        for _ in range(TURNS):
            for child in alone:
                for call, measured in child.measure(seconds).items():
                    took.setdefault(f"{child.description}: {call}", []).extend(measured)
            for name, load in loads.items():
                took.setdefault(name, []).extend(load.measure(seconds))
        return took


def print_report(took: dict[str, list[float]], cold_start: float) -> None:
    rates, medians, rows = {}, {}, []
    for name, measured in took.items():
        p50, p95, p99 = np.percentile(measured, [50, 95, 99])
        at_a_time = CONCURRENCY if f"{CONCURRENCY} at a time" in name else 1
        rates[name], medians[name] = at_a_time * 1000 / np.mean(measured), p50
        rows.append([name, f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}", f"{rates[name]:,.0f}"])
    headers = ["one face", "p50, ms", "p95, ms", "p99, ms", "faces/s"]
    print(tabulate.tabulate(rows, headers, "github", disable_numparse=True))
    model = next(name for name in took if name.startswith("SavedModel"))
    one, eight = "gRPC, 1 at a time", f"gRPC, {CONCURRENCY} at a time"
    above = medians[one] - medians[model]
    lite = next(median for name, median in medians.items() if name.startswith(LITE))
    unbatched = rates[f"{eight}, batches off"]
    print(
        f"\nround trip above the model alone, p50: {above:.2f} ms (at most 1.5)\n"
        f"{CONCURRENCY} at a time, to 1 at a time: {rates[eight] / rates[one]:.2f} (at least 2)\n"
        f"{CONCURRENCY} at a time, to the same with batches off: {rates[eight] / unbatched:.2f}\n"
        f"{LITE}, p50: {lite:.2f} ms (at most 1)\n"
        f"cold start to the first answer: {cold_start:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model-dir", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cpu, lite = (export_packaged(name, pathlib.Path(folder)) for name in ("cpu", "lite"))
        model_dir = (options.model_dir or cpu).absolute()
        took = measure_all(model_dir, lite, options.seconds)
        print_report(took, measure_cold_start(model_dir))


if __name__ == "__main__":
    main()
