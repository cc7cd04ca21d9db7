"""Runs that are killed, interrupted, or out of disk: a message, nothing lost, and on they go."""

import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from muwnet_fer.components.report import run_facts
from muwnet_fer.tests import commands
from muwnet_fer.tests.pipeline import run_output

pytestmark = pytest.mark.e2e

KILL_IN_EACH = pathlib.Path(__file__).with_name("kill_in_each.py")
# Every component, at the three kinds of moments; the Trainer within an epoch, too.
KILLS = (
    "CuratedSchemaGen:after",
    "Fer2013ExampleGen:0.3",
    "Fer2013ExampleGen:after",
    "StatisticsGen:1",
    "ExampleValidator:before",
    "AnomalyGate:after",
    "Transform:2",
    "Trainer:12",
    "Trainer:after",
    "LatestBlessedModel:after",
    "Predictor:0.1",
    "Evaluator:1",
    "Evaluator:after",
    "Pusher:before",
    "Pusher:after",
)


def test_a_run_killed_in_every_component_ends_with_a_pushed_model(tmp_path):
    output = tmp_path / "output"
    killed = commands.run_command(
        sys.executable, "-Wignore", KILL_IN_EACH, output, *KILLS, cwd=tmp_path
    )
    ends = re.findall(r"^(\S+:\S+) ended with (-?\d+)$", killed.output, re.M)
    assert ends == [(kill, str(-signal.SIGKILL)) for kill in KILLS], killed.output
    with sqlite3.connect(f"file:{output / 'metadata.db'}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    run = commands.run_command("muwnet-fer", "run", "--output", output, cwd=tmp_path)
    assert run.exit_code == 0, run.output
    run_output.assert_clean(run)
    assert re.search(r"^verdict +blessed$", run.output, re.M)
    (version,) = re.findall(r"^pushed +version (\d+)", run.output, re.M)
    tf.saved_model.load(str(output / "serving_model" / version))
    # What was done before a kill was not done again.
    lines = run_output.read_component_lines(run.output)
    assert {name for name, took in lines.items() if took != "cached"} == {
        "LatestBlessedModel",
        "Pusher",
        "Report",
    }


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("profile ", signal.SIGINT),
        ("Fer2013ExampleGen ", signal.SIGINT),
        ("    epoch  2/", signal.SIGINT),
        ("    epoch  2/", signal.SIGTERM),
    ],
)
def test_an_interrupt_ends_the_work_within_ten_seconds_and_says_how_to_go_on(
    tmp_path, small_csv, line, number
):
    """At its start (while TFX is imported), within Beam, and within the training; the report, which
    another interrupt leaves out, comes after the message.
    """
    process = commands.start_command(
        "muwnet-fer",
        "run",
        "--profile=smoke",
        "--data",
        small_csv,
        "--output=output",
        cwd=tmp_path,
    )
    printed = []
    for printed_line in process.stdout:
        printed.append(printed_line)
        if printed_line.startswith(line):
            break
    time.sleep(0.5)
    started = time.monotonic()
    os.killpg(process.pid, number)
    for printed_line in process.stdout:
        printed.append(printed_line)
        if printed_line.startswith("interrupted"):
            break
    took = time.monotonic() - started
    rest, _ = process.communicate(timeout=60)
    output = "".join(printed) + rest
    assert took < 10, output
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "interrupted: the same command goes on after the last component done" in output
    if "epoch" in line:
        (folder,) = (tmp_path / "output").glob("runs/*")
        done = run_facts.read(folder).unfinished_training["history"]["loss"]
        assert 1 <= len(done) <= 12
        page = (tmp_path / "output" / "report" / "training.html").read_text()
        assert f"{len(done)} of 12" in page


@pytest.fixture
def in_small_disk(tmp_path):
    """Returns a command line's beginning under which file systems can be mounted."""
    unshare = ["unshare", "--mount", "--map-root-user"]
    mount = [*unshare, "mount", "-t", "tmpfs", "tmpfs", tmp_path]
    if not shutil.which("unshare") or subprocess.run(mount).returncode:
        pytest.skip("this machine allows no mounts in a namespace of one's own")
    return unshare


SMALL_DISK = """
set -u
run() { muwnet-fer run --profile smoke --data "$1" --output disk/output --to Transform; }
mkdir disk
mount -t tmpfs -o size=600k disk disk
run "$1"; echo "exit $?"
mount -o remount,size=1200k disk
run "$1"; echo "exit $?"
mount -o remount,size=50m disk
run "$1"; echo "exit $?"
mount -o remount,ro disk
run "$1"; echo "exit $?"
mount -o remount,rw,size=50m disk
dd if=/dev/zero of=disk/filler status=none
muwnet-fer prune --keep 1 --output disk/output; echo "exit $?"
umount disk
"""


def test_a_full_disk_and_a_read_only_one_are_named(tmp_path, small_csv, in_small_disk):
    run = commands.run_command(
        *in_small_disk, "bash", "-c", SMALL_DISK, "-", small_csv, cwd=tmp_path
    )
    assert "Traceback" not in run.output
    ingestion, transform, roomy, read_only, pruned = re.split(r"^exit \d$", run.output, flags=re.M)[
        :-1
    ]
    assert re.findall(r"^exit (\d)$", run.output, re.M) == ["1", "1", "0", "2", "0"], run.output
    assert "Fer2013ExampleGen   failed" in ingestion
    assert "Transform           failed" in transform
    for output in (ingestion, transform):
        assert "stopped: the disk is full: free some space" in output
    lines = run_output.read_component_lines(roomy)
    assert lines["StatisticsGen"] == "cached" != lines["Transform"]
    assert re.fullmatch(
        r"\s*error: cannot write in the output folder: .*Read-only file system: .*\s*", read_only
    )
    # What advice names must work where it is needed.
    assert re.search(r"disk/output: removed .*folders: \d+.*MB", pruned)
