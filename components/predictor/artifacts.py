"""The Predictions artifact: a candidate's probabilities for every evaluated row."""

import csv
import dataclasses
import os
from collections.abc import Iterable

import numpy as np
from tfx.types import artifact

from muwnet_fer.data import fer2013

FILE_NAME = "predictions.csv"
SPLIT_COLUMN = "split"
_TEN_VIEWS_COLUMNS = tuple(f"{emotion}_ten_views" for emotion in fer2013.EMOTIONS)
_COLUMNS = (
    fer2013.ROW_KEY,
    SPLIT_COLUMN,
    fer2013.LABEL_KEY,
    fer2013.SEEN_IN_TRAINING_KEY,
    *fer2013.EMOTIONS,
    *_TEN_VIEWS_COLUMNS,
)


class Predictions(artifact.Artifact):
    """`predictions.csv`: row, split, emotion (the label), seen_in_training, a probability for each
    emotion, and the same as the mean over ten views.
    """

    TYPE_NAME = "Predictions"


@dataclasses.dataclass(frozen=True)
class PredictedSplit:
    """rows, labels and seen_in_training int64 [N] each, probabilities and ten_views float32 [N, 7]
    each, sorted by row.
    """

    rows: np.ndarray
    labels: np.ndarray
    seen_in_training: np.ndarray
    probabilities: np.ndarray
    ten_views: np.ndarray


def write(uri: str, splits: Iterable[tuple[str, PredictedSplit]]) -> None:
    """Writes the artifact's file; probabilities keep all their bits."""
    with open(os.path.join(uri, FILE_NAME), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for name, split in splits:
            probabilities = np.hstack([split.probabilities, split.ten_views])
            for row, label, seen, values in zip(
                split.rows, split.labels, split.seen_in_training, probabilities, strict=True
            ):
                # Nine significant digits tell any two float32 apart.
                writer.writerow((row, name, label, seen, *(f"{p:.9g}" for p in values)))


def read(uri: str, split: str) -> PredictedSplit:
    """Reads one split back."""
    with open(os.path.join(uri, FILE_NAME), newline="", encoding="utf-8") as file:
        records = [record for record in csv.DictReader(file) if record[SPLIT_COLUMN] == split]

    def read_integers(column) -> np.ndarray:
        return np.array([int(record[column]) for record in records], np.int64)

    def read_probabilities(columns) -> np.ndarray:
        values = [[float(record[column]) for column in columns] for record in records]
        return np.array(values, np.float32).reshape(-1, len(columns))

    return PredictedSplit(
        read_integers(fer2013.ROW_KEY),
        read_integers(fer2013.LABEL_KEY),
        read_integers(fer2013.SEEN_IN_TRAINING_KEY),
        read_probabilities(fer2013.EMOTIONS),
        read_probabilities(_TEN_VIEWS_COLUMNS),
    )
