"""lineage_lock: one at a time, free again however the holder ends."""

import signal
import subprocess
import sys

import pytest

from muwnet_fer.components.report import run_facts
from muwnet_fer.pipeline import config, lineage_lock, output_folder, run_list
from muwnet_fer.tests import commands
from muwnet_fer.tests.components import conftest as report_conftest

HOLD = """
import pathlib, sys, time
from muwnet_fer.pipeline import lineage_lock
with lineage_lock.hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_holder_is_refused_until_the_first_is_gone(tmp_path, holder):
    with pytest.raises(lineage_lock.LineageBusyError, match=f"another command works in {tmp_path}"):
        with lineage_lock.hold(tmp_path):
            pytest.fail("held twice")
    assert lineage_lock.is_held(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not lineage_lock.is_held(tmp_path)
    with lineage_lock.hold(tmp_path):
        pass
    with lineage_lock.hold(tmp_path):
        pass


def test_a_run_without_an_end_is_under_way_as_long_as_the_lock_is_held(tmp_path, holder):
    folder = output_folder.OutputFolder(tmp_path)
    for number in (1, 2):
        run = report_conftest.make_run(number, exit_code=None)
        run_facts.write(run, folder.runs / run.run_id)
    assert [run.end for run in run_list.read(folder)] == ["killed", "under way"]
    holder.kill()
    holder.wait()
    assert [run.end for run in run_list.read(folder)] == ["killed", "killed"]


def test_a_second_run_of_the_lineage_is_refused_at_once(tmp_path, small_csv, holder):
    config.make_config([str(small_csv)], output=str(tmp_path))
    before = [(path, path.stat().st_ino) for path in sorted(tmp_path.rglob("*"))]
    run = commands.run_command(
        "muwnet-fer", "run", "--data", small_csv, "--output", tmp_path, cwd=tmp_path
    )
    assert run.exit_code == 2
    assert run.output == (
        f"error: another command works in {tmp_path}: wait until it ends, or name another folder "
        "with --output\n"
    )
    assert [(path, path.stat().st_ino) for path in sorted(tmp_path.rglob("*"))] == before
