"""The whole road: one smoke run through the `tfx` command, and what it leaves behind."""

import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn import metrics as sklearn_metrics

from muwnet_fer.components.predictor import artifacts
from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.tests.pipeline import run_output

pytestmark = pytest.mark.e2e


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
    lines = run_output.read_component_lines(output)
    assert set(lines) == set(pipeline_config.COMPONENTS)
    assert "cached" not in lines.values()
    assert re.search(
        r"^data +\S+/sample/\w+\.csv \(drawn faces, 3,500 rows, MD5 \w{32}\)", output, re.M
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
    uri = str(run_output.newest(smoke_run.output, "Evaluator", "evaluation"))
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
    folder = run_output.newest(smoke_run.output, "Trainer", "model_run")
    history = json.loads((folder / "history.json").read_text())["history"]
    assert len(history["val_accuracy"]) == 12
    assert {"accuracy.png", "loss.png"} <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("**/events.out.tfevents*"))


# === Predictions and TFMA ===


def test_tfmas_figures_equal_those_of_the_predictions(smoke_run):
    """Overall and by slice, against scikit-learn on the Predictions artifact."""
    uri = str(run_output.newest(smoke_run.output, "Evaluator", "evaluation"))
    predictions = artifacts.read(
        str(run_output.newest(smoke_run.output, "Predictor", "predictions")), "private_test"
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
    uri = str(run_output.newest(smoke_run.output, "Predictor", "predictions"))
    public_test = artifacts.read(uri, "public_test")
    assert len(public_test.rows) == 350
    np.testing.assert_allclose(public_test.probabilities.sum(axis=1), 1, atol=1e-5)
    history = json.loads(
        (run_output.newest(smoke_run.output, "Trainer", "model_run") / "history.json").read_text()
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
    for raw in read_records(
        run_output.newest(smoke_run.output, "Fer2013ExampleGen", "examples"), spec
    ):
        png = np.frombuffer(raw["image"].numpy(), np.uint8)
        pixels = cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tobytes()
        row_of_pixels[pixels] = int(raw["row"])
    transformed = read_records(
        run_output.newest(smoke_run.output, "Transform", "transformed_examples"),
        {"image": spec["image"]},
    )
    images = [record["image"].numpy() for record in transformed]
    faces = np.array([np.frombuffer(image, np.uint8).reshape(48, 48) for image in images])
    model = tf.saved_model.load(str(smoke_run.evaluated_model()))
    ours = model.signatures["predict_faces"](image=tf.constant(faces))["probabilities"].numpy()
    predictions = artifacts.read(
        str(run_output.newest(smoke_run.output, "Predictor", "predictions")), "public_test"
    )
    theirs = dict(zip(predictions.rows, predictions.probabilities, strict=True))
    assert len(images) == len(row_of_pixels) == len(theirs) == 350
    expected = np.array([theirs[row_of_pixels[image]] for image in images])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_private_test_was_never_transformed(smoke_run):
    transformed = run_output.newest(smoke_run.output, "Transform", "transformed_examples")
    assert {path.name for path in transformed.iterdir()} == {"Split-train", "Split-public_test"}
