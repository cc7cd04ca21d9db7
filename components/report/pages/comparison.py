"""Comparison: two runs' models on the same faces of private_test."""

import dataclasses
from typing import Any

import markupsafe
import numpy as np

from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import comparison_plots, paired, pictures, slices
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013

TITLE = "Comparison"
_SHOWN = 24  # pictures of each kind


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns the differences of `sources` from `sources.compared`.

    Raises:
      paired.ComparisonError: where one of them has no predictions or no longer any, or they are of
        other faces.
    """
    first, second = _get_predictions(sources.compared), _get_predictions(sources)
    paired.check_rows(first, second)
    _check_faces(sources.compared, sources)
    labels = second.labels
    predicted = [of.probabilities.argmax(axis=1) for of in (first, second)]
    right = [of == labels for of in predicted]
    macro_f1, f1 = paired.compare_f1(labels, *predicted)
    facts = {
        "first": _describe_run(sources.compared),
        "second": _describe_run(sources),
        "accuracy": dataclasses.asdict(paired.compare_accuracy(*right)),
        "macro_f1": _describe(macro_f1),
        "f1": {emotion: _describe(of) for emotion, of in f1.items()},
        "slices": None,
        "disagreements": _list_disagreements(second.rows, labels, *predicted),
    }
    if sources.splits is not None:
        facts["slices"] = {
            name: dataclasses.asdict(paired.compare_accuracy(*(of[rows] for of in right)))
            for name, rows in slices.find(sources.splits[fer2013.PRIVATE_TEST]).items()
        }
    return facts


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the plot, and pictures on which the two disagree where there are Examples."""
    plots = {"f1": comparison_plots.draw_changes(facts["f1"])}
    if sources.splits is not None:
        examples = sources.splits[fer2013.PRIVATE_TEST]
        for kind, found in facts["disagreements"].items():
            found = found[:_SHOWN]
            if found:
                indices = np.searchsorted(examples.rows, [of["row"] for of in found])
                captions = [
                    f"row {of['row']}\nlabelled {of['label']}\n{of['first']}, now {of['second']}"
                    for of in found
                ]
                faces = [examples.decode(index) for index in indices]
                plots[kind] = pictures.show(faces, captions, "A face")
    return plots


def _get_predictions(sources: report_sources.Sources) -> predictor_artifacts.PredictedSplit:
    if sources.private_test is not None:
        return sources.private_test
    run = sources.run
    # The run's notes keep its figures when `prune` takes its artifacts.
    reason = "whose predictions were pruned" if run and run.figures else "which ended before it"
    raise paired.ComparisonError(
        "expected two runs with the predictions of their Predictor, got "
        f"{run.run_id if run else 'one'}, {reason}"
    )


def _check_faces(first: report_sources.Sources, second: report_sources.Sources) -> None:
    """Raises ComparisonError unless private_test's pixels are known to be the same."""
    digests = [_get_data_md5(of) for of in (first, second)]
    if digests[0] == digests[1]:
        return
    got = f"data of MD5 {digests[0]} and {digests[1]}"
    if first.splits is None or second.splits is None:
        got += ", and Examples that were pruned"
    else:
        examples = [of.splits[fer2013.PRIVATE_TEST] for of in (first, second)]
        count = len(examples[1].rows)  # the same in both: of the rows that were predicted
        if all(np.array_equal(*(of.decode(index) for of in examples)) for index in range(count)):
            return
        got += " with other pixels in private_test"
    raise paired.ComparisonError(f"expected two runs that were judged on the same faces, got {got}")


def _get_data_md5(sources: report_sources.Sources) -> str | None:
    return sources.run.data_md5 if sources.run else sources.manifest["data_md5"]


def _describe_run(sources: report_sources.Sources) -> dict[str, Any]:
    manifest = sources.manifest
    return {
        "id": sources.run and sources.run.run_id,
        "profile": manifest and manifest["profile"],
        "parameters": manifest and manifest["parameters"],
        "commit": manifest and manifest["commit"],
    }


def _describe(difference: paired.Difference) -> dict[str, Any]:
    return {**dataclasses.asdict(difference), "moved": difference.moved}


def _list_disagreements(
    rows: np.ndarray, labels: np.ndarray, first: np.ndarray, second: np.ndarray
) -> dict[str, list[dict[str, Any]]]:
    """Returns the faces on which the answers differ: mended, spoilt, and wrong in both."""
    kinds = {
        "mended": (first != labels) & (second == labels),
        "spoilt": (first == labels) & (second != labels),
        "both_wrong": (first != labels) & (second != labels) & (first != second),
    }
    return {
        kind: [
            {
                "row": int(rows[index]),
                "label": fer2013.EMOTIONS[labels[index]],
                "first": fer2013.EMOTIONS[first[index]],
                "second": fer2013.EMOTIONS[second[index]],
            }
            for index in np.flatnonzero(chosen)
        ]
        for kind, chosen in kinds.items()
    }
