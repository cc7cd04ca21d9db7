"""The whole road: one smoke run through the `tfx` command, and what starts from its output."""

import json
import pathlib
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn import metrics as sklearn_metrics

from muwnet_fer.components.predictor import artifacts
from muwnet_fer.data import fer2013, synthetic
from muwnet_fer.tests import commands

pytestmark = pytest.mark.e2e

SPOIL = pathlib.Path(__file__).with_name("spoil.py")
COMPONENTS = (
    "CuratedSchemaGen",
    "Fer2013ExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "AnomalyGate",
    "Transform",
    "Trainer",
    "LatestBlessedModel",
    "Predictor",
    "Evaluator",
    "Pusher",
)


def read_component_lines(output: str) -> dict[str, str]:
    """Returns "cached" or a time by component."""
    lines = re.findall(r"^(\w+) +(cached|[\d.]+ s)$", output, re.MULTILINE)
    return dict(lines)


def newest(output: pathlib.Path, node: str, key: str) -> pathlib.Path:
    return max((output / "pipeline_root" / node / key).iterdir(), key=lambda path: int(path.name))


def assert_clean(command: commands.Command) -> None:
    """No traceback, no page of somebody's warnings."""
    for noise in ("Traceback", "Warning", "WARNING", "I0000", "E0000"):
        assert noise not in command.output, command.output


# === The road ===


def test_tfx_create_executes_nothing(smoke_run):
    assert smoke_run.created.exit_code == 0, smoke_run.created.output
    assert "created successfully" in smoke_run.created.output
    assert "metadata.db" not in smoke_run.existed_after_create
    assert "pipeline_root" not in smoke_run.existed_after_create
    for word in ("verdict", "pushed", "full log"):
        assert word not in smoke_run.created.output


def test_run_reports_every_step_and_pushes(smoke_run):
    output = smoke_run.run.output
    assert smoke_run.run.exit_code == 0, output
    lines = read_component_lines(output)
    assert set(lines) == set(COMPONENTS)
    assert "cached" not in lines.values()
    assert re.search(
        r"^data +\S+/sample-\w+\.csv \(drawn faces, 3,500 rows, MD5 \w{32}\)", output, re.M
    )
    assert re.search(r"^profile +smoke, expected time", output, re.M)
    assert re.search(r"epoch  1/12  loss \d\.\d{3}  accuracy .*PublicTest .* left", output)
    for emotion in fer2013.EMOTIONS:
        assert re.search(rf"^F1 {emotion} +[01]\.\d{{3}} +0\.600 +ok", output, re.M)
    assert re.search(r"^verdict +blessed$", output, re.M)
    (version,) = smoke_run.versions()
    assert re.search(rf"^pushed +version {version} ", output, re.M)
    (log,) = re.findall(r"^full log +(\S+)$", output, re.M)
    assert pathlib.Path(log).stat().st_size > 20_000


def test_smoke_reaches_85_percent_on_the_private_split(smoke_run):
    uri = str(newest(smoke_run.output, "Evaluator", "evaluation"))
    metrics = tfma.load_eval_result(uri).get_metrics_for_slice(())
    assert metrics["accuracy"]["doubleValue"] >= 0.85


def test_manifest_says_where_the_model_comes_from(smoke_run):
    path = smoke_run.evaluated_model() / "assets.extra" / "muwnet.json"
    manifest = json.loads(path.read_text())
    assert manifest["lineage"] == "sample"
    assert manifest["profile"] == "smoke"
    assert manifest["rows"] == {"train": 2800, "public_test": 350, "private_test": 350}
    assert manifest["data_md5"] in smoke_run.run.output
    assert manifest["parameters"] > 20_000
    assert len(manifest["source_fingerprint"]) == 16
    assert "commit" in manifest


def test_history_and_plots_are_kept(smoke_run):
    folder = newest(smoke_run.output, "Trainer", "model_run")
    history = json.loads((folder / "history.json").read_text())["history"]
    assert len(history["val_accuracy"]) == 12
    assert {"accuracy.png", "loss.png"} <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("**/events.out.tfevents*"))


# === Predictions and TFMA ===


def test_tfmas_figures_equal_those_of_the_predictions(smoke_run):
    """Overall and by slice, against scikit-learn on the Predictions artifact."""
    uri = str(newest(smoke_run.output, "Evaluator", "evaluation"))
    predictions = artifacts.read(
        str(newest(smoke_run.output, "Predictor", "predictions")), "private_test"
    )
    assert len(predictions.rows) == 350
    result = tfma.load_eval_result(uri)
    assert_figures(result.get_metrics_for_slice(()), predictions, np.ones(350, bool))
    for label in range(7):
        in_slice = result.get_metrics_for_slice((("emotion", label),))
        assert_figures(in_slice, predictions, predictions.labels == label)
    sliced_by = {key[0][0] for key, _ in result.slicing_metrics if key}
    assert sliced_by == {
        "emotion",
        "brightness_bucket",
        "contrast_bucket",
        "sharpness_bucket",
        "seen_in_training",
    }


def assert_figures(metrics, predictions: artifacts.PredictedSplit, mask: np.ndarray) -> None:
    labels = predictions.labels[mask]
    guesses = predictions.probabilities[mask].argmax(axis=1)
    by_class = sklearn_metrics.precision_recall_fscore_support(
        labels, guesses, labels=range(7), zero_division=0
    )
    expected = {
        "accuracy": (labels == guesses).mean(),
        "macro_precision": by_class[0].mean(),
        "macro_recall": by_class[1].mean(),
        "macro_f1": by_class[2].mean(),
        "example_count": mask.sum(),
    }
    for name, values in zip(("precision", "recall", "f1"), by_class[:3], strict=True):
        expected |= {f"{name}_{e}": v for e, v in zip(fer2013.EMOTIONS, values, strict=True)}
    for name, value in expected.items():
        assert metrics[name]["doubleValue"] == pytest.approx(value, abs=1e-6), name
    matrix = np.zeros((7, 7))
    (matrices,) = metrics["multi_class_confusion_matrix_at_thresholds"].values()
    for entry in matrices["matrices"][0]["entries"]:
        position = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        matrix[position] = entry["numWeightedExamples"]
    expected_matrix = sklearn_metrics.confusion_matrix(labels, guesses, labels=range(7))
    np.testing.assert_array_equal(matrix, expected_matrix)


def test_predictions_cover_public_test_too(smoke_run):
    uri = str(newest(smoke_run.output, "Predictor", "predictions"))
    public_test = artifacts.read(uri, "public_test")
    assert len(public_test.rows) == 350
    np.testing.assert_allclose(public_test.probabilities.sum(axis=1), 1, atol=1e-5)
    history = json.loads(
        (newest(smoke_run.output, "Trainer", "model_run") / "history.json").read_text()
    )
    accuracy = (public_test.probabilities.argmax(axis=1) == public_test.labels).mean()
    # The exported model is the best epoch's.
    assert accuracy == pytest.approx(max(history["history"]["val_accuracy"]), abs=1e-6)


def read_records(folder: pathlib.Path, spec: dict) -> list[dict]:
    files = [str(path) for path in sorted(folder.glob("Split-public_test/*.gz"))]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.io.parse_single_example(record, spec) for record in records]


def test_transformed_and_raw_road_give_the_same_probabilities(smoke_run):
    """Training reads Transform's records, servers decode PNGs: one image, one answer."""
    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "row": tf.io.FixedLenFeature([], tf.int64),
    }
    row_of_pixels = {}
    for raw in read_records(newest(smoke_run.output, "Fer2013ExampleGen", "examples"), spec):
        png = np.frombuffer(raw["image"].numpy(), np.uint8)
        pixels = cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tobytes()
        row_of_pixels[pixels] = int(raw["row"])
    transformed = read_records(
        newest(smoke_run.output, "Transform", "transformed_examples"), {"image": spec["image"]}
    )
    images = [record["image"].numpy() for record in transformed]
    faces = np.array([np.frombuffer(image, np.uint8).reshape(48, 48) for image in images])
    model = tf.saved_model.load(str(smoke_run.evaluated_model()))
    ours = model.signatures["predict_faces"](image=tf.constant(faces))["probabilities"].numpy()
    predictions = artifacts.read(
        str(newest(smoke_run.output, "Predictor", "predictions")), "public_test"
    )
    theirs = dict(zip(predictions.rows, predictions.probabilities, strict=True))
    assert len(images) == len(row_of_pixels) == len(theirs) == 350
    expected = np.array([theirs[row_of_pixels[image]] for image in images])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_private_test_was_never_transformed(smoke_run):
    transformed = newest(smoke_run.output, "Transform", "transformed_examples")
    assert {path.name for path in transformed.iterdir()} == {"Split-train", "Split-public_test"}


# === What comes after it ===


def run_muwnet(smoke_run, *arguments: str) -> commands.Command:
    return commands.run_command(
        "muwnet-fer", "run", "--output", smoke_run.output, *arguments, cwd=smoke_run.workspace
    )


def test_unchanged_second_run_is_cached_and_writes_no_version(smoke_run):
    before = smoke_run.versions()
    second = run_muwnet(smoke_run)
    assert second.exit_code == 0, second.output
    assert_clean(second)
    lines = read_component_lines(second.output)
    assert {name for name, took in lines.items() if took != "cached"} == {"LatestBlessedModel"}
    assert f"unchanged, version {before[0]}" in second.output
    assert smoke_run.versions() == before


def test_a_version_that_is_gone_is_pushed_again(smoke_run):
    """All is cached, and still a run must not say "unchanged" of what nobody can serve."""
    (before,) = smoke_run.versions()
    shutil.rmtree(smoke_run.evaluated_model())
    again = run_muwnet(smoke_run)
    assert again.exit_code == 0, again.output
    lines = read_component_lines(again.output)
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
    assert "Transform" not in read_component_lines(spoilt.output)


def test_crash_has_a_message_and_its_traceback_in_the_log(smoke_run):
    spoilt = run_spoilt(smoke_run, "crash")
    assert spoilt.exit_code == 1, spoilt.output
    assert "crashed: OSError: no space left, says this test" in spoilt.output
    (log,) = re.findall(r"^full log +(\S+)$", spoilt.output, re.M)
    assert "Traceback" in pathlib.Path(log).read_text()


def test_an_edit_runs_its_components_again(smoke_run, tmp_path):
    """A copy of the package with three modules edited, on the same output folder."""
    package = tmp_path / "muwnet_fer"
    ignored = shutil.ignore_patterns(".*", "output", "__pycache__", "raw", "*.egg-info")
    shutil.copytree(commands.ROOT, package, ignore=ignored)
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
    lines = read_component_lines(run.output)
    assert {name for name, took in lines.items() if took != "cached"} == {
        "AnomalyGate",
        "LatestBlessedModel",
        "Predictor",
        "Evaluator",
        "Pusher",  # there is a new blessing
    }


# === Runs of their own ===


def test_model_of_shuffled_labels_is_not_blessed(tmp_path):
    """Smoke's floors are low on data other than the sample, and still tell a network from none."""
    plain = tmp_path / "plain.csv"
    synthetic.synthesize(plain, 1400, seed=3)
    header, *lines = plain.read_text().splitlines()
    labels = np.random.default_rng(0).permutation([line.split(",", 1)[0] for line in lines])
    shuffled = [
        f"{label},{line.split(',', 1)[1]}" if line.endswith("Training") else line
        for label, line in zip(labels, lines, strict=True)
    ]
    path = tmp_path / "shuffled.csv"
    path.write_text("\n".join([header, *shuffled]) + "\n")
    run = commands.run_command(
        "muwnet-fer", "run", "--profile", "smoke", "--data", path, cwd=tmp_path
    )
    assert run.exit_code == 4, run.output
    assert_clean(run)
    assert "the floors of this profile are low" in run.output
    assert "F1 happy by 0.350" in run.output
    assert "verdict   not blessed" in run.output
    assert not (tmp_path / "output" / "shuffled" / "serving_model").exists()


@pytest.mark.parametrize("road", ["muwnet-fer", "tfx"])
def test_malformed_csv_stops_both_roads(tmp_path, small_csv, road):
    path = tmp_path / "bad.csv"
    path.write_text(small_csv.read_text().replace("PublicTest", "PublicTes", 1))
    if road == "muwnet-fer":
        run = commands.run_command("muwnet-fer", "run", "--data", path, cwd=tmp_path)
        assert run.exit_code == 2
        assert_clean(run)
    else:
        environment = {"FER2013_CSV": str(path), "LOCAL_HOME": str(tmp_path / "tfx")}
        runner = commands.ROOT / "pipeline" / "local_runner.py"
        created = commands.run_command(
            "tfx",
            "pipeline",
            "create",
            "--engine=local",
            f"--pipeline_path={runner}",
            cwd=tmp_path,
            **environment,
        )
        assert created.exit_code == 0, created.output
        run = commands.run_command(
            "tfx",
            "run",
            "create",
            "--engine=local",
            "--pipeline_name=muwnet-fer",
            cwd=tmp_path,
            **environment,
        )
        assert run.exit_code != 0
        assert "Traceback" not in run.output
    assert f"bad input: {path}: 1 malformed rows" in run.output
    assert "row 168: expected Usage in" in run.output
    assert "Fer2013ExampleGen   failed" in run.output
    assert not list((tmp_path / "output").glob("**/*.gz"))


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
    assert_clean(run)
    lines = read_component_lines(run.output)
    assert list(lines)[-1] == "Trainer"
    assert "PublicTest" in run.output
    assert "private_test" not in run.output
    assert "nothing was judged or pushed" in run.output
