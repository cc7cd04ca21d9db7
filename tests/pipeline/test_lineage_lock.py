"""lineage_lock: one at a time, free again however the holder ends."""

import signal
import subprocess
import sys

import pytest

from muwnet_fer.pipeline import config, lineage_lock
from muwnet_fer.tests import commands

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
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lineage_lock.hold(tmp_path):
        pass
    with lineage_lock.hold(tmp_path):
        pass


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
