"""Evaluation: what the model is worth on private_test, by class, slice and confidence."""

import dataclasses
from typing import Any

import markupsafe
import numpy as np

from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import evaluation_plots, model_gates, pictures, published, slices
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import calibration, figures

TITLE = "Evaluation"
_MISTAKES = 24


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns figures of the predictions, all None where nothing was predicted."""
    split = sources.private_test
    if split is None:
        return {"overall": None}
    measured = figures.compute(
        split.labels, split.probabilities, split.ten_views, split.seen_in_training == 0
    )
    matrix = figures.count_confusion(split.labels, split.probabilities)
    bins = calibration.bin_by_confidence(split.probabilities, split.labels)
    return {
        "overall": _describe(measured, split),
        "rows": measured.rows,
        "leak_free_rows": measured.leak_free_rows,
        "leak_free_rows_in_public_test": _count_leaks_of_public_test(sources),
        "expected_calibration_error": measured.expected_calibration_error,
        "classes": _list_classes(sources, measured, matrix),
        "confusion": matrix.tolist(),
        "slices": _list_slices(sources, split),
        "reliability": [dataclasses.asdict(of) for of in bins],
        "mistakes": _list_mistakes(split),
        "published": _list_published(sources, measured),
    }


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the page's plots, and the pictures of the mistakes where there are Examples."""
    if facts["overall"] is None:
        return {}
    plots = {
        "classes": evaluation_plots.draw_classes(facts["classes"]),
        "reliability": evaluation_plots.draw_reliability(
            facts["reliability"], facts["expected_calibration_error"]
        ),
    }
    if sources.splits is not None:
        examples = sources.splits[fer2013.PRIVATE_TEST]
        indices = np.searchsorted(examples.rows, [of["row"] for of in facts["mistakes"]])
        captions = [
            f"row {of['row']}\nlabelled {of['label']}\n{of['predicted']} {of['confidence']:.0%}"
            for of in facts["mistakes"]
        ]
        faces = [examples.decode(index) for index in indices]
        plots["mistakes"] = pictures.show(faces, captions, "A face")
    return plots


def _describe(
    measured: figures.Figures, split: predictor_artifacts.PredictedSplit
) -> dict[str, dict[str, float] | None]:
    """Returns the intervals of the figures of all rows by their names."""
    best_two = np.argsort(split.probabilities, axis=1)[:, -2:]
    intervals = {
        "accuracy": measured.accuracy,
        "macro F1": measured.macro_f1,
        "accuracy of leak-free rows": measured.leak_free_accuracy,
        "accuracy by ten views": measured.ten_views_accuracy,
        "macro F1 by ten views": measured.ten_views_macro_f1,
        "accuracy of the best two": figures.measure_share(
            (best_two == split.labels[:, np.newaxis]).any(axis=1)
        ),
    }
    return {name: found and dataclasses.asdict(found) for name, found in intervals.items()}


def _count_leaks_of_public_test(sources: report_sources.Sources) -> int | None:
    """Returns how many leak-free rows a model trained on PublicTest knows all the same; None for
    other models, and without Examples.
    """
    manifest = sources.manifest
    if not (manifest and manifest["public_test_contaminated"] and sources.duplicates):
        return None
    return sum(
        face.split == fer2013.PRIVATE_TEST
        for group in sources.duplicates.groups
        if {face.split for face in group} == {fer2013.PUBLIC_TEST, fer2013.PRIVATE_TEST}
        for face in group
    )


def _list_classes(
    sources: report_sources.Sources, measured: figures.Figures, matrix: np.ndarray
) -> list[dict[str, Any]]:
    gates = {}
    if sources.evaluation is not None:
        gates = {gate.figure: gate for gate in model_gates.read(sources.evaluation)}
    classes = []
    for label, emotion in enumerate(fer2013.EMOTIONS):
        gate = gates.get(f"f1_{emotion}")
        classes.append(
            {
                "emotion": emotion,
                "rows": int(matrix[label].sum()),
                "precision": _measure_cell(matrix[label, label], matrix[:, label].sum()),
                "recall": _measure_cell(matrix[label, label], matrix[label].sum()),
                "f1": dataclasses.asdict(measured.f1[emotion]),
                "floor": gate and gate.floor,
                "blessed": gate and gate.blessed,
            }
        )
    return classes


def _measure_cell(correct: int, count: int) -> dict[str, float] | None:
    """Returns a share's interval, None where nothing was predicted so, or nothing labelled."""
    return dataclasses.asdict(figures.measure_share(np.arange(count) < correct)) if count else None


def _list_slices(
    sources: report_sources.Sources, split: predictor_artifacts.PredictedSplit
) -> list[dict[str, Any]] | None:
    """Returns every slice's accuracy and its distance from the others', None without Examples."""
    if sources.splits is None:
        return None
    correct = split.probabilities.argmax(axis=1) == split.labels
    found = slices.find(sources.splits[fer2013.PRIVATE_TEST])
    return [
        {
            "slice": name,
            "rows": int(rows.sum()),
            "accuracy": dataclasses.asdict(figures.measure_share(correct[rows])),
        }
        for name, rows in found.items()
    ]


def _list_mistakes(split: predictor_artifacts.PredictedSplit) -> list[dict[str, Any]]:
    """Returns the wrong answers of which the model was surest, the surest first."""
    predicted, confidence = split.probabilities.argmax(axis=1), split.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != split.labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    return [
        {
            "row": int(split.rows[index]),
            "label": fer2013.EMOTIONS[split.labels[index]],
            "predicted": fer2013.EMOTIONS[predicted[index]],
            "confidence": float(confidence[index]),
        }
        for index in surest
    ]


def _describe_training(manifest: dict[str, Any]) -> list[str]:
    """Returns what a reader must know of a training besides its data."""
    found = []
    if manifest["public_test_contaminated"]:
        found.append("trained on PublicTest, too")
    if start := manifest["warm_start"]:
        found.append(f"began with the weights {start['name']}")
    if teachers := manifest["teachers"]:
        found.append(f"taught by {', '.join(teacher['name'] for teacher in teachers)}")
    return found


def _list_published(
    sources: report_sources.Sources, measured: figures.Figures
) -> list[dict[str, Any]] | None:
    """Returns others' accuracies around this model's; None for other data than FER2013."""
    manifest = sources.manifest
    if manifest is None or manifest["data_md5"] not in fer2013.KAGGLE_MD5:
        return None
    training = _describe_training(manifest)
    of_this = [
        published.Published(
            f"this model ({views})",
            100 * accuracy.value,
            manifest["parameters"],
            "; ".join((f"PrivateTest, {views}", *training)),
        )
        for views, accuracy in (
            ("one view", measured.accuracy),
            ("ten views", measured.ten_views_accuracy),
        )
    ]
    rows = sorted((*published.PAPER, *published.OTHERS, *of_this), key=lambda row: -row.accuracy)
    return [{**dataclasses.asdict(row), "this": row in of_this} for row in rows]
