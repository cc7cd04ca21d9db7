"""Data: classes, statistics of the images, anomalies, duplicates, and what the faces look like."""

import collections
from collections.abc import Iterable
from typing import Any

import markupsafe

from muwnet_fer.components.report import data_pictures, data_plots, duplicates, image_histograms
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.components.report.pages import gates
from muwnet_fer.data import fer2013

TITLE = "Data"
_SHOWN_ROWS = 20


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns counts, statistics and duplicates, each None for what the run did not get to."""
    facts: dict[str, Any] = {"classes": None, "duplicates": None}
    if sources.splits is not None:
        facts["classes"] = {
            split: [int((of.labels == label).sum()) for label in range(len(fer2013.EMOTIONS))]
            for split, of in sources.splits.items()
        }
        facts["duplicates"] = _describe_duplicates(sources)
    facts["statistics"] = image_histograms.collect(sources)
    facts["distances"] = gates.list_split_checks(sources)
    facts["anomalies"] = gates.list_anomalies(sources)
    return facts


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns plots and pictures by name."""
    plots = {}
    if facts["classes"] is not None:
        plots["classes"] = data_plots.draw_classes(facts["classes"])
        plots |= data_pictures.show_all(sources)
    if facts["statistics"] is not None:
        for statistic, by_split in facts["statistics"].items():
            plots[statistic] = data_plots.draw_histogram(statistic, by_split)
    return plots


def _describe_duplicates(sources: report_sources.Sources) -> dict[str, Any]:
    found = sources.duplicates
    return {
        "distinct_images": found.distinct_images,
        "groups": len(found.groups),
        "rows": _count_rows(sources.splits, found.groups),
        "conflicting": [
            [_describe_face(sources, face) for face in group] for group in found.conflicting
        ],
        "constant": [_describe_face(sources, face) for face in found.constant],
    }


def _count_rows(
    splits: Iterable[str], groups: list[list[duplicates.Face]]
) -> dict[str, dict[str, int]]:
    """Returns, by split, how many of its rows have the same pixels as another row of each split."""
    counts = {split: dict.fromkeys(splits, 0) for split in splits}
    for group in groups:
        in_split = collections.Counter(face.split for face in group)
        for split, count in in_split.items():
            for other in in_split:
                counts[split][other] += count if other != split or count > 1 else 0
    return counts


def _describe_face(sources: report_sources.Sources, face: duplicates.Face) -> dict[str, Any]:
    examples = sources.splits[face.split]
    return {
        "row": int(examples.rows[face.index]),
        "split": face.split,
        "emotion": fer2013.EMOTIONS[examples.labels[face.index]],
    }
