"""Measures weights on FER2013 itself, without a pipeline: what their manifest states."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from muwnet_fer.data import fer2013, rows
from muwnet_fer.data import source as data_source
from muwnet_fer.models.muwnet import export, figures

SPLITS = (fer2013.PUBLIC_TEST, fer2013.PRIVATE_TEST)
_BATCH = 256


def measure(
    module: export.ServingModule, source: data_source.Source
) -> tuple[data_source.DataIdentity, dict[str, figures.Figures]]:
    """Returns which data was measured on, and the figures of PublicTest and PrivateTest.

    Raises:
      MalformedDataError: for a bad row.
      OSError: where the data cannot be read.
    """
    check = data_source.check(source)
    faces = {split: [] for split in SPLITS}
    for row in data_source.read_rows(source):
        if row.split in faces:
            faces[row.split].append(row)
    return check.identity, {
        split: _measure_split(module, of_split, check.train_digests)
        for split, of_split in faces.items()
    }


def _measure_split(
    module: export.ServingModule, faces: list[rows.Row], train_digests: set[bytes]
) -> figures.Figures:
    images = np.stack([row.image for row in faces])
    batches = [tf.constant(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    single = [module.predict_faces(batch)["probabilities"] for batch in batches]
    ten_views = [module.predict_ten_views(batch)["probabilities"] for batch in batches]
    return figures.compute(
        np.array([row.emotion for row in faces]),
        np.concatenate(single),
        np.concatenate(ten_views),
        np.array([rows.digest(row.image) not in train_digests for row in faces]),
    )


def to_dict(measured: dict[str, figures.Figures]) -> dict[str, Any]:
    """Returns what a manifest holds: figures by split and name."""
    return {split: dataclasses.asdict(values) for split, values in measured.items()}


def find_differences(stated: Any, got: Any, tolerance: float, name: str = "") -> list[str]:
    """Returns a sentence for each figure that differs by more than `tolerance`.

    Args:
      stated, got: from `to_dict`, or parts of it.
      tolerance: a share: .0005 is .05 points.
      name: of the part.
    """
    if isinstance(stated, dict) and isinstance(got, dict):
        return [
            sentence
            for key in sorted(stated.keys() | got.keys())
            for sentence in find_differences(
                stated.get(key), got.get(key), tolerance, f"{name} {key}".strip()
            )
        ]
    if stated is None or got is None:
        return [] if stated == got else [f"{name}: stated {stated}, got {got}"]
    if not abs(stated - got) <= tolerance:  # nor is NaN within it
        return [f"{name}: stated {stated:.5f}, got {got:.5f}"]
    return []
