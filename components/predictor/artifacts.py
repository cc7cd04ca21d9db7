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
_COLUMNS = (fer2013.ROW_KEY, SPLIT_COLUMN, fer2013.LABEL_KEY, *fer2013.EMOTIONS)


class Predictions(artifact.Artifact):
    """`predictions.csv`: row, split, emotion (the label) and a probability for each emotion."""

    TYPE_NAME = "Predictions"


@dataclasses.dataclass(frozen=True)
class PredictedSplit:
    """rows int64 [N], labels int64 [N], probabilities float32 [N, 7], sorted by row."""

    rows: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def write(uri: str, splits: Iterable[tuple[str, PredictedSplit]]) -> None:
    """Writes the artifact's file; probabilities keep all their bits."""
    with open(os.path.join(uri, FILE_NAME), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for name, split in splits:
            for row, label, probabilities in zip(
                split.rows, split.labels, split.probabilities, strict=True
            ):
                # Nine significant digits tell any two float32 apart.
                writer.writerow((row, name, label, *(f"{p:.9g}" for p in probabilities)))


def read(uri: str, split: str) -> PredictedSplit:
    """Reads one split back."""
    with open(os.path.join(uri, FILE_NAME), newline="", encoding="utf-8") as file:
        records = [record for record in csv.DictReader(file) if record[SPLIT_COLUMN] == split]
    return PredictedSplit(
        np.array([int(record[fer2013.ROW_KEY]) for record in records], np.int64),
        np.array([int(record[fer2013.LABEL_KEY]) for record in records], np.int64),
        np.array(
            [[float(record[emotion]) for emotion in fer2013.EMOTIONS] for record in records],
            np.float32,
        ).reshape(-1, len(fer2013.EMOTIONS)),
    )
