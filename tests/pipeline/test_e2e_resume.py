"""A run whose training is killed three times ends like one that nobody disturbed."""

import json
import pathlib
import random
import re
import signal
import statistics
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.data import synthetic
from muwnet_fer.tests import commands
from muwnet_fer.tests.pipeline import run_output

pytestmark = pytest.mark.e2e

KILLS = 3
# How the two trainings may differ: how long they took, where they were resumed, by which source.
DIFFERENCES = (
    "training_seconds",
    "training_cpu_seconds",
    "resumed_after",
    "source_fingerprint",
)


def test_training_killed_three_times_ends_with_the_same_weights_and_history(tmp_path):
    csv = tmp_path / "faces.csv"
    synthetic.synthesize(csv, 700, seed=5)
    package = commands.copy_package(tmp_path)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the moments: {seed}")  # pytest shows it where the test fails
    moments = random.Random(seed)

    expected, lines = read_to_end(start_run(tmp_path))
    assert "resumed" not in lines
    expected_history = read_history(tmp_path)
    epoch = statistics.median(expected_history["history"].pop("seconds"))
    del expected_history["history"]["cpu_seconds"]

    edit_a_comment(package)  # else the training would come from the cache
    for kill in range(KILLS):
        process = start_run(tmp_path)
        lines = wait_for_line(process, r"epoch +\d+/")
        if kill == 0:
            assert "training starts anew: the source was edited after" in lines
        time.sleep(moments.uniform(0, 1.5 * epoch))
        process.kill()
        print(lines, process.communicate()[0])
        assert process.returncode == -signal.SIGKILL
    edit_a_comment(package)
    weights, lines = read_to_end(start_run(tmp_path))

    (resumed_after,) = re.findall(
        r"resumed after epoch (\d+) of 12 \(checkpoint .*\); the source was edited since$",
        lines,
        re.MULTILINE,
    )
    history = read_history(tmp_path)
    assert history["resumed_after"][-1] == int(resumed_after)
    assert history["resumed_after"] == sorted(history["resumed_after"])
    for clock in ("seconds", "cpu_seconds"):
        assert len(history["history"].pop(clock)) == 12
    for name in DIFFERENCES:
        del history[name], expected_history[name]
    assert history == expected_history
    assert weights.keys() == expected.keys()
    assert len(weights) > 20
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


def start_run(folder: pathlib.Path) -> subprocess.Popen:
    """Starts a run of the copied package up to the Trainer."""
    arguments = ("--profile", "smoke", "--to", "Trainer", "--data", "faces.csv", "--output", "out")
    return commands.start_command(
        "muwnet-fer", "run", *arguments, cwd=folder, PYTHONPATH=str(folder)
    )


def wait_for_line(process: subprocess.Popen, pattern: str) -> str:
    """Returns the output up to the first line that matches."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError("".join(lines))


def read_to_end(process: subprocess.Popen) -> tuple[dict[str, np.ndarray], str]:
    """Returns the weights of the model that the run exported, and what it printed."""
    lines, _ = process.communicate()
    print(lines)
    assert process.returncode == 0
    out = pathlib.Path(re.search(r"^full log +(.*)$", lines, re.MULTILINE)[1]).parents[1]
    model = run_output.newest(out, "Trainer", "model") / "Format-Serving"
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("weights/")]
    return {name: reader.get_tensor(name) for name in names}, lines


def read_history(folder: pathlib.Path) -> dict:
    run = run_output.newest(folder / "out", "Trainer", "model_run")
    return json.loads((run / "history.json").read_text())


def edit_a_comment(package: pathlib.Path) -> None:
    with open(package / "models" / "muwnet" / "history_plots.py", "a") as file:
        file.write("# edited\n")
