"""Time and memory of every component on the real FER2013, and with ten times the rows.

    FER2013_CSV=/path/to/fer2013.csv make bench

Prints the tables of docs/benchmarks.md. Every run is a process of its own through the real runner;
its memory is sampled by component. A first run trains one epoch and is measured; a second one of
another seed has the first as its baseline, and its Evaluator is measured; a third finds everything
cached. Gates are open: judging is timed here, not passing. The drawn CSVs are kept under
output/bench/, where a later run finds them.
"""

import argparse
import dataclasses
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import psutil
import tabulate

FOLDER = pathlib.Path("output/bench")
FER2013_ROWS = 35_887
INGESTION = ("Fer2013ExampleGen", "StatisticsGen", "Transform")
# What a component reads of them; the others read statistics, or names.
ROWS = {
    "Fer2013ExampleGen": FER2013_ROWS,
    "StatisticsGen": FER2013_ROWS,
    "Transform": 28_709 + 3_589,
    "Trainer": 28_709,
    "Predictor": 2 * 3_589,
    "Evaluator": 3_589,
}
# Seconds on two cores.
TARGETS = {
    "Fer2013ExampleGen": 60,
    "StatisticsGen": 20,
    "Transform": 60,
    "Evaluator": 60,
    "Report": 30,
}
LARGEST_RSS = 3e9
LARGEST_TIME_RATIO, LARGEST_MEMORY_RATIO = 11, 1.5
_SAMPLE_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Measured:
    """One process: seconds and peak memory (bytes) by component, in order."""

    seconds: dict[str, float]
    peaks: dict[str, int]
    import_seconds: float  # of TFX
    all_seconds: float  # of the process


class MemorySampler(threading.Thread):
    """Keeps the highest resident memory since the last `take`."""

    def __init__(self):
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._peak = 0

    def run(self):
        while True:
            self._peak = max(self._peak, self._process.memory_info().rss)
            time.sleep(_SAMPLE_SECONDS)

    def take(self) -> int:
        """Returns the peak in bytes and begins anew."""
        peak, self._peak = self._peak, 0
        return peak


def run_pipeline(csv: str, output: str, seed: int, to: str | None) -> None:
    """Runs the pipeline in this process; prints a Measured as JSON on its last line."""
    started = time.perf_counter()
    from muwnet_fer.pipeline import pipeline, run_journal, tracked_runner

    import_seconds = time.perf_counter() - started
    from muwnet_fer.data import fer2013
    from muwnet_fer.models.muwnet import config as muwnet_config
    from muwnet_fer.pipeline import config as pipeline_config
    from muwnet_fer.pipeline import console, profiles

    config = pipeline_config.make_config([csv], "smoke", output)
    open_gates = profiles.Gates(
        0.0, dict.fromkeys(fer2013.EMOTIONS, 0.0), dict.fromkeys(fer2013.EMOTIONS, 1.0)
    )
    muwnet = dataclasses.replace(
        muwnet_config.SMOKE, phases=(muwnet_config.Phase(1),), seed=seed, warmup_epochs=0.0
    )
    profile = dataclasses.replace(config.profile, muwnet=muwnet, gates=open_gates)
    config = dataclasses.replace(config, profile=profile)
    sampler = MemorySampler()
    seconds, peaks = {}, {}

    class Recorder(logging.Handler):
        """Takes time and memory at the line that the runner prints behind each component."""

        last = 0.0

        def emit(self, record):
            now = time.perf_counter()
            name = str(record.args[1]) if len(record.args or ()) == 3 else ""
            if name in node_ids:
                seconds[name], peaks[name] = now - Recorder.last, sampler.take()
                Recorder.last = now

    created = pipeline.create_pipeline(config)
    node_ids = {node.id for node in created.components}
    with console.separate_output(config.output.logs) as log:
        console.LOGGER.addHandler(Recorder())
        sampler.start()
        Recorder.last = time.perf_counter()
        journal = run_journal.RunJournal(config, log)
        tracked_runner.TrackedLocalDagRunner(config, to, journal).run(created)
    spent = time.perf_counter() - started
    measured = Measured(seconds, peaks, import_seconds, spent)
    print(json.dumps(dataclasses.asdict(measured)))


def measure(csv: pathlib.Path, output: pathlib.Path, seed: int, to: str | None = None) -> Measured:
    """Runs run_pipeline in a process of its own."""
    command = [sys.executable, "-Wignore", __file__, "--csv", csv, "--output", output]
    command += ["--seed", seed] + (["--to", to] if to else [])
    # As the local runner sets them.
    environment = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTEROP_THREADS": "1", **os.environ}
    finished = subprocess.run(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    *lines, last = finished.stdout.splitlines()
    print("\n".join(lines), file=sys.stderr)
    return Measured(**json.loads(last))


def print_components(first: Measured, second: Measured, cached: Measured) -> None:
    """Prints the table of the real data: the first run, with the second's Evaluator."""
    seconds = {**first.seconds, "Evaluator": second.seconds["Evaluator"]}
    peaks = {**first.peaks, "Evaluator": second.peaks["Evaluator"]}
    table = [
        [
            name,
            taken,
            TARGETS.get(name),
            ROWS[name] / taken if name in ROWS else None,
            first.import_seconds / (first.import_seconds + taken),
            peaks[name] / 1e9,
        ]
        for name, taken in seconds.items()
    ]
    table.append(["highest of all", None, None, None, None, max(peaks.values()) / 1e9])
    headers = ["component", "seconds", "at most", "rows/s", "share of importing TFX, alone"]
    headers.append(f"peak RSS, GB (at most {LARGEST_RSS / 1e9:g})")
    print_table(table, headers, ("", ".1f", "", ",.0f", ".0%", ".2f"))
    longer = second.seconds["Evaluator"] - first.seconds["Evaluator"]
    beside = first.all_seconds - first.seconds["Trainer"] + longer
    table = [
        ["all but training, from start to end", beside, 240, first.import_seconds / beside],
        [
            "a third run, all cached",
            cached.all_seconds,
            60,
            cached.import_seconds / cached.all_seconds,
        ],
    ]
    headers = ["run", "seconds", "at most", "share of importing TFX"]
    print_table(table, headers, ("", ".1f", "", ".0%"))


def print_table(table: list[list], headers: list[str], formats: tuple[str, ...]) -> None:
    print(tabulate.tabulate(table, headers, tablefmt="github", floatfmt=formats) + "\n")


def print_growth(once: Measured, tenfold: Measured) -> None:
    """Prints the table of the drawn data."""
    table = []
    for name in INGESTION:
        once_peak, tenfold_peak = once.peaks[name], tenfold.peaks[name]
        table.append(
            [
                name,
                once.seconds[name],
                tenfold.seconds[name],
                tenfold.seconds[name] / once.seconds[name],
                once_peak / 1e9,
                tenfold_peak / 1e9,
                tenfold_peak / once_peak,
            ]
        )
    headers = [
        "component",
        "seconds",
        "seconds, 10x",
        "ratio",
        "peak, GB",
        "peak, GB, 10x",
        "ratio",
    ]
    print_table(table, headers, ("", ".1f", ".1f", ".2f", ".2f", ".2f", ".2f"))


def draw(rows: int) -> pathlib.Path:
    """Returns a drawn CSV of so many rows, made where it is not there yet."""
    from muwnet_fer.data import synthetic

    path = FOLDER / f"drawn-{rows}.csv"
    if not path.exists():
        synthetic.synthesize(path, rows, seed=1)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", default=os.environ.get("FER2013_CSV"))
    parser.add_argument("--output", help="runs the pipeline once, in this process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to")
    parser.add_argument("--part", choices=("real", "growth"), help="measures this alone")
    arguments = parser.parse_args()
    if arguments.output:
        run_pipeline(arguments.csv, arguments.output, arguments.seed, arguments.to)
        return
    if not arguments.csv and arguments.part != "growth":
        sys.exit("expected FER2013_CSV to name the real FER2013")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if arguments.part != "growth":
            csv = pathlib.Path(arguments.csv)
            first = measure(csv, folder / "real", seed=1)
            second = measure(csv, folder / "real", seed=2)
            cached = measure(csv, folder / "real", seed=2)
            print_components(first, second, cached)
            shutil.rmtree(folder / "real")
        if arguments.part != "real":
            once = measure(draw(FER2013_ROWS), folder / "once", 1, "Transform")
            tenfold = measure(draw(10 * FER2013_ROWS), folder / "tenfold", 1, "Transform")
            print_growth(once, tenfold)


if __name__ == "__main__":
    main()
