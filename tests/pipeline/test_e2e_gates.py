"""What comes after a blessed run: unchanged, spoilt, edited; and runs that must not pass."""

import json
import pathlib
import re
import shutil
import sys

import numpy as np
import pytest

from muwnet_fer.data import synthetic
from muwnet_fer.tests import commands
from muwnet_fer.tests.pipeline import run_output

pytestmark = pytest.mark.e2e

SPOIL = pathlib.Path(__file__).with_name("spoil.py")


def run_muwnet(smoke_run, *arguments: str) -> commands.Command:
    return commands.run_command(
        "muwnet-fer", "run", "--output", smoke_run.output, *arguments, cwd=smoke_run.workspace
    )


def test_unchanged_second_run_is_cached_and_writes_no_version(smoke_run):
    before = smoke_run.versions()
    second = run_muwnet(smoke_run)
    assert second.exit_code == 0, second.output
    run_output.assert_clean(second)
    lines = run_output.read_component_lines(second.output)
    assert {name for name, took in lines.items() if took != "cached"} == {"LatestBlessedModel"}
    assert f"unchanged, version {before[0]}" in second.output
    assert smoke_run.versions() == before


def test_a_version_that_is_gone_is_pushed_again(smoke_run):
    """All is cached, and still a run must not say "unchanged" of what nobody can serve."""
    (before,) = smoke_run.versions()
    shutil.rmtree(smoke_run.output / "serving_model")
    again = run_muwnet(smoke_run)
    assert again.exit_code == 0, again.output
    lines = run_output.read_component_lines(again.output)
    assert lines["Evaluator"] == "cached" != lines["Pusher"]
    (after,) = smoke_run.versions()
    assert after > before
    assert f"pushed    version {after}" in again.output


def run_spoilt(smoke_run, kind: str) -> commands.Command:
    before = smoke_run.versions()
    model = smoke_run.evaluated_model()
    content = sorted((path, path.stat().st_mtime_ns) for path in model.rglob("*"))
    spoilt = commands.run_command(
        sys.executable, "-Wignore", SPOIL, kind, smoke_run.output, model, cwd=smoke_run.workspace
    )
    assert smoke_run.versions() == before
    assert sorted((path, path.stat().st_mtime_ns) for path in model.rglob("*")) == content
    assert "Traceback" not in spoilt.output
    return spoilt


def read_report(smoke_run) -> str:
    return (smoke_run.output / "report" / "index.html").read_text()


def read_failed_floors(output: str) -> set[str]:
    return set(re.findall(r"^(F1 \w+|accuracy) +[\d.]+ +[\d.]+ +too low", output, re.M))


def read_falls(output: str) -> set[str]:
    return set(re.findall(r"F1 (\w+) fell by", output))


def test_swapped_heads_fail_exactly_their_classes(smoke_run):
    spoilt = run_spoilt(smoke_run, "swapped_heads")
    assert spoilt.exit_code == 4, spoilt.output
    assert read_failed_floors(spoilt.output) == {"F1 angry", "F1 surprise"}
    assert read_falls(spoilt.output) == {"angry", "surprise"}
    assert "verdict   not blessed:\n          F1 angry" in spoilt.output
    report = read_report(smoke_run)
    assert "Not blessed" in report
    assert "<li>F1 angry is " in report
    assert '<td class="text">done</td>' in report.split('<th scope="row">Report</th>')[1]


def test_model_worse_than_the_blessed_one_is_not_pushed(smoke_run):
    """Every floor holds, the comparison does not."""
    spoilt = run_spoilt(smoke_run, "biased_head")
    assert spoilt.exit_code == 4, spoilt.output
    assert read_failed_floors(spoilt.output) == set()
    assert "sad" in read_falls(spoilt.output)


def test_anomaly_stops_the_run_with_its_table(smoke_run):
    spoilt = run_spoilt(smoke_run, "labels")
    assert spoilt.exit_code == 3, spoilt.output
    assert "AnomalyGate         failed" in spoilt.output
    assert re.search(r"^public_test +emotion +", spoilt.output, re.M)
    assert "<pre>anomaly: " in read_report(smoke_run)
    assert "Transform" not in run_output.read_component_lines(spoilt.output)


def test_crash_has_a_message_and_its_traceback_in_the_log(smoke_run):
    spoilt = run_spoilt(smoke_run, "crash")
    assert spoilt.exit_code == 1, spoilt.output
    assert "crashed: OSError: no space left, says this test" in spoilt.output
    (log,) = re.findall(r"^full log +(\S+)$", spoilt.output, re.M)
    assert "Traceback" in pathlib.Path(log).read_text()


def test_an_edit_runs_its_components_again(smoke_run, tmp_path):
    """A copy of the package with three modules edited, on the same output folder."""
    package = commands.copy_package(tmp_path)
    edited = ("components/anomaly_gate/executor.py", "components/predictor/executor.py")
    for name in (*edited, "pipeline/metrics.py"):
        path = package / name
        path.write_text(path.read_text() + "# edited\n")
    run = commands.run_command(
        "muwnet-fer",
        "run",
        "--output",
        smoke_run.output,
        cwd=smoke_run.workspace,
        PYTHONPATH=str(tmp_path),
    )
    assert run.exit_code == 0, run.output
    lines = run_output.read_component_lines(run.output)
    assert {name for name, took in lines.items() if took != "cached"} == {
        "AnomalyGate",
        "LatestBlessedModel",
        "Predictor",
        "Evaluator",
        "Pusher",  # there is a new blessing
        "Report",
    }


# === Runs of their own ===


def test_model_of_shuffled_labels_is_not_blessed(tmp_path):
    """Smoke's floors are low on data other than the sample, and still tell a network from none."""
    plain = tmp_path / "plain.csv"
    synthetic.synthesize(plain, 700, seed=3)
    header, *lines = plain.read_text().splitlines()
    labels = np.random.default_rng(0).permutation([line.split(",", 1)[0] for line in lines])
    shuffled = [
        f"{label},{line.split(',', 1)[1]}" if line.endswith("Training") else line
        for label, line in zip(labels, lines, strict=True)
    ]
    path = tmp_path / "shuffled.csv"
    path.write_text("\n".join([header, *shuffled]) + "\n")
    environment = {"FER2013_CSV": str(path), "MUWNET_PROFILE": "smoke"}
    assert commands.create_by_tfx(tmp_path, **environment).exit_code == 0
    run = commands.run_by_tfx(tmp_path, **environment)
    assert run.exit_code == 1, run.output
    assert "Traceback" not in run.output
    assert "the floors of this profile are low" in run.output
    assert "F1 happy by 0.350" in run.output
    assert "verdict   not blessed" in run.output
    assert not (tmp_path / "output" / "shuffled" / "serving_model").exists()


def spoil_usage(small_csv, folder: pathlib.Path) -> pathlib.Path:
    path = folder / "bad.csv"
    path.write_text(small_csv.read_text().replace("PublicTest", "PublicTes", 1))
    return path


def test_bad_row_stops_the_run_and_leaves_nothing(tmp_path, small_csv):
    path = spoil_usage(small_csv, tmp_path)
    run = commands.run_command("muwnet-fer", "run", "--data", path, cwd=tmp_path)
    assert run.exit_code == 2
    run_output.assert_clean(run)
    assert_bad_row(run, path)


def test_bad_row_stops_the_tfx_command(tmp_path, small_csv):
    path = spoil_usage(small_csv, tmp_path)
    created = commands.create_by_tfx(tmp_path, FER2013_CSV=str(path))
    assert created.exit_code != 0
    assert "Traceback" not in created.output
    assert_bad_row(created, path)


def assert_bad_row(run: commands.Command, path: pathlib.Path) -> None:
    assert f"bad input: {path}: 1 bad rows" in run.output
    assert "row 168: expected Usage in" in run.output
    assert not (path.parent / "output").exists()


def test_bad_row_is_set_aside_where_that_is_allowed(tmp_path, small_csv):
    path = spoil_usage(small_csv, tmp_path)
    for took in ("0.", "cached"):
        run = commands.run_command(
            "muwnet-fer",
            "run",
            "--data",
            path,
            "--max-bad-rows=1",
            "--to=Fer2013ExampleGen",
            cwd=tmp_path,
        )
        assert run.exit_code == 0, run.output
        assert "1 bad rows set aside" in run.output
        assert run_output.read_component_lines(run.output)["Fer2013ExampleGen"].startswith(took)
        (quarantine,) = re.findall(r"^set aside 1 bad rows: (\S+)$", run.output, re.M)
        assert json.loads(pathlib.Path(quarantine).read_text())["row"] == 168


@pytest.mark.parametrize(
    ("variable", "value"), [("MUWNET_PRIVATE_FRACTION", "half"), ("MUWNET_MAX_BAD_ROWS", "1.5")]
)
def test_options_of_the_environment_are_read_and_checked(tmp_path, variable, value):
    """As TFX's commands hand them on."""
    runner = commands.ROOT / "pipeline" / "local_runner.py"
    run = commands.run_command(sys.executable, runner, cwd=tmp_path, **{variable: value})
    assert run.exit_code == 2
    assert run.output == f"error: expected {variable} to be a number, got {value!r}\n"


def test_run_to_the_first_component_ends_there(tmp_path, small_csv):
    run = commands.run_command(
        "muwnet-fer", "run", "--data", small_csv, "--to", "CuratedSchemaGen", cwd=tmp_path
    )
    assert run.exit_code == 0, run.output
    assert list(run_output.read_component_lines(run.output)) == ["CuratedSchemaGen"]


def test_run_to_the_trainer_shows_public_test_only(tmp_path, small_csv):
    run = commands.run_command(
        "muwnet-fer",
        "run",
        "--profile",
        "smoke",
        "--to",
        "Trainer",
        "--data",
        small_csv,
        cwd=tmp_path,
    )
    assert run.exit_code == 0, run.output
    run_output.assert_clean(run)
    lines = run_output.read_component_lines(run.output)
    assert list(lines)[-1] == "Trainer"
    assert "PublicTest" in run.output
    assert "private_test" not in run.output
    assert re.search(r"^PublicTest accuracy of the exported model: [\d.]+%$", run.output, re.M)
    assert "nothing was judged or pushed" in run.output
