"""Every end of a run has its message and exit code; TFX itself is left out here."""

import os

import pytest

from muwnet_fer.components.anomaly_gate import executor as anomaly_gate
from muwnet_fer.components.report import exit_codes
from muwnet_fer.data import rows
from muwnet_fer.models.muwnet import training
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import local_runner, tracked_runner
from muwnet_fer.tests import commands


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (rows.MalformedDataError("row 3"), 2, "bad input: row 3"),
        (anomaly_gate.AnomalyError("1 anomaly"), 3, "anomaly: 1 anomaly"),
        (training.TrainingDivergedError("nan"), 1, "training diverged: nan"),
        (RuntimeError("boom"), 1, "crashed: RuntimeError: boom"),
        (KeyboardInterrupt(), 130, "interrupted: "),
    ],
)
def test_ends(tmp_path, small_csv, monkeypatch, capfd, error, exit_code, message):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(tracked_runner.TrackedLocalDagRunner, "run_with_ir", fail)
    output = tmp_path / "output"
    assert local_runner.run([str(small_csv)], "smoke", str(output)) == exit_code
    printed = capfd.readouterr().out
    assert message in printed
    assert "Traceback" not in printed
    (log,) = (output / "logs").iterdir()
    assert f"full log  {log}" in printed
    if exit_code == exit_codes.CRASHED:
        assert "Traceback" in log.read_text()


def test_tensorflow_is_set_up_before_the_weights_that_import_it_are_read(monkeypatch):
    names = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    found = []

    def fail(*arguments):
        found.extend(os.environ[name] for name in names)
        raise pipeline_config.ConfigError("seen enough")

    monkeypatch.setattr(pipeline_config, "make_config", fail)
    assert local_runner.run() == exit_codes.BAD_INPUT
    assert found == ["1", "1", "3"]


def test_a_log_that_cannot_be_written_is_named(tmp_path, small_csv, capfd):
    output = tmp_path / "output"
    pipeline_config.make_config([str(small_csv)], "smoke", str(output))
    (output / "logs").write_text("in the way")
    assert local_runner.run([str(small_csv)], "smoke", str(output)) == exit_codes.BAD_INPUT
    assert f"File exists: '{output}/logs'" in capfd.readouterr().err


def test_a_run_that_ends_with_a_damaged_store_has_a_report_of_its_end(
    tmp_path, small_csv, monkeypatch, capfd
):
    output = tmp_path / "output"

    def fail(self, *arguments, **options):
        self._journal.begin("run-1")
        (output / "metadata.db").write_bytes(b"damaged")
        raise RuntimeError("the disk is dying")

    monkeypatch.setattr(tracked_runner.TrackedLocalDagRunner, "run_with_ir", fail)
    assert local_runner.run([str(small_csv)], "smoke", str(output)) == exit_codes.CRASHED
    printed = capfd.readouterr().out
    assert "report    of the run's end alone: " in printed
    assert f"report    {output}/report/index.html" in printed
    page = (output / "report" / "index.html").read_text()
    assert "the disk is dying" in page
    for arguments in (
        ("report", "--output", output),
        ("runs", "--output", output, "show", "latest"),
    ):
        finished = commands.run_command("muwnet-fer", *arguments, cwd=tmp_path)
        assert finished.exit_code == 1
        assert f"expected the artifacts of run latest under {output}, got " in finished.output
        assert "Traceback" not in finished.output
    assert (output / "report" / "index.html").read_text() == page  # the last site stays
