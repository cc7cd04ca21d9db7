"""The slices of a split: emotions, fifths of brightness, contrast and sharpness, and leakage."""

import numpy as np

from muwnet_fer.components.report import examples as report_examples
from muwnet_fer.data import fer2013


def find(examples: report_examples.SplitExamples) -> dict[str, np.ndarray]:
    """Returns the rows of each slice by its name, bool [N] each; the same slices as TFMA's."""
    found = {
        f"emotion {emotion}": examples.labels == label
        for label, emotion in enumerate(fer2013.EMOTIONS)
    }
    for statistic in fer2013.STATISTICS_KEYS:
        buckets = examples.buckets[fer2013.bucket_key(statistic)]
        found |= {f"{statistic} {bucket}": buckets == bucket for bucket in fer2013.BUCKETS}
    found["seen in training"] = examples.seen_in_training == 1
    found["leak-free"] = examples.seen_in_training == 0
    return {name: rows for name, rows in found.items() if rows.any()}
