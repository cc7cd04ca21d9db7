"""Ten minutes at 50 requests a second with a new version every 30 s, on the packaged `cpu`.

    make soak
    python tests/benchmarks/soak.py [--seconds S]

Exits with 1 where a request failed or came late, a version was not served, or the server's memory
grew by more than 2 %.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

from muwnet_fer.tests.benchmarks import serving
from muwnet_fer.tests.serving import soak

RATE, PUSH_SECONDS = 50, 30
MOST_GROWTH = 0.02


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = serving.export_packaged("cpu", folder) / "1"
        base_path = folder / "served"
        base_path.mkdir()
        done = soak.run([model], base_path, serving.FACE[np.newaxis], seconds, RATE, PUSH_SECONDS)
    p50, p99 = np.percentile(done.milliseconds, [50, 99])
    level = float(np.median(done.memory))
    print(
        f"{done.requests:,} requests in {seconds:.0f} s: {len(done.failures)} failed, {done.late} "
        f"late; p50 {p50:.1f} ms, p99 {p99:.1f} ms\n"
        f"{done.versions} new versions; memory: median {level:.0f} MB, highest "
        f"{max(done.memory):.0f} MB, last third {done.growth:+.1f} MB against the middle one"
    )
    for failure in done.failures[:10]:
        print(failure)
    grown = done.growth > MOST_GROWTH * level
    missing = done.versions < seconds // PUSH_SECONDS - 1
    sys.exit(bool(done.failures or done.late or grown or missing))


if __name__ == "__main__":
    main()
