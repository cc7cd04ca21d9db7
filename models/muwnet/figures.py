"""Figures of a classifier's predictions, with 95 % intervals: what is reported of a model."""

import dataclasses

import numpy as np
import scipy.stats

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import calibration

CONFIDENCE = 0.95
_RESAMPLES, _SEED = 2000, 1


@dataclasses.dataclass(frozen=True)
class Interval:
    """A share and the ends of its interval, all in 0..1."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of one split.

    Accuracies have Wilson's intervals; those of F1 are a bootstrap's over faces, and
    `f1_standard_error` is its deviation. A figure is None where no row is left to measure it on.
    """

    rows: int
    accuracy: Interval
    macro_f1: Interval
    f1: dict[str, Interval]
    f1_standard_error: dict[str, float]
    ten_views_accuracy: Interval
    ten_views_macro_f1: Interval
    leak_free_rows: int  # whose exact pixels are not in the train split
    leak_free_accuracy: Interval | None
    expected_calibration_error: float


def compute(
    labels: np.ndarray, probabilities: np.ndarray, ten_views: np.ndarray, leak_free: np.ndarray
) -> Figures:
    """Returns the figures of a split's predictions.

    Args:
      labels: int64 [N], N of at least 1.
      probabilities: float32 [N, 7].
      ten_views: the same, each the mean over ten views.
      leak_free: bool [N], false where the exact pixels are trained on.
    """
    correct = probabilities.argmax(axis=1) == labels
    macro_f1, f1, errors = _measure_f1(count_confusion(labels, probabilities))
    ten_views_macro_f1, *_ = _measure_f1(count_confusion(labels, ten_views))
    return Figures(
        rows=len(labels),
        accuracy=measure_share(correct),
        macro_f1=macro_f1,
        f1=dict(zip(fer2013.EMOTIONS, f1, strict=True)),
        f1_standard_error=dict(zip(fer2013.EMOTIONS, errors, strict=True)),
        ten_views_accuracy=measure_share(ten_views.argmax(axis=1) == labels),
        ten_views_macro_f1=ten_views_macro_f1,
        leak_free_rows=int(leak_free.sum()),
        leak_free_accuracy=measure_share(correct[leak_free]) if leak_free.any() else None,
        expected_calibration_error=calibration.compute_calibration_error(probabilities, labels),
    )


def measure_share(hits: np.ndarray) -> Interval:
    """Returns the share of true values, bool [N], N of at least 1, with Wilson's interval."""
    test = scipy.stats.binomtest(int(hits.sum()), len(hits))
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(hits.mean()), float(interval.low), float(interval.high))


def count_confusion(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns counts by [label, prediction], int64 [7, 7]; the highest probability predicts."""
    classes = len(fer2013.EMOTIONS)
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def compute_by_class(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns precision, recall and F1 by class, float64 [..., 7] each.

    A figure whose denominator is 0 is 0, as in scikit-learn with zero_division=0.

    Args:
      matrix: counts by [..., label, prediction].
    """
    correct = np.diagonal(matrix, axis1=-2, axis2=-1).astype(float)
    predicted, labelled = matrix.sum(axis=-2), matrix.sum(axis=-1)
    # Counts: a denominator below 1 is 0.
    return (
        correct / np.maximum(predicted, 1),
        correct / np.maximum(labelled, 1),
        2 * correct / np.maximum(predicted + labelled, 1),
    )


def compute_f1_of_draws(matrices: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """Returns the F1 by class of a bootstrap's draws, float64 [draws, 7].

    Few rows may leave a class out of a draw, label and prediction: it then keeps the F1 of all
    rows. As 0 it would pull the macro F1's interval below the macro F1 itself.

    Args:
      matrices: counts by [draw, label, prediction].
      f1: of all rows, float64 [7].
    """
    there = matrices.sum(axis=-1) + matrices.sum(axis=-2) > 0
    return np.where(there, compute_by_class(matrices)[2], f1)


def _measure_f1(matrix: np.ndarray) -> tuple[Interval, list[Interval], list[float]]:
    """Returns the macro F1's interval, each class's, and each class's standard error."""
    count = matrix.sum()
    # Rows drawn with replacement fall into the matrix's cells as a multinomial does.
    draws = np.random.default_rng(_SEED).multinomial(count, matrix.ravel() / count, _RESAMPLES)
    f1 = compute_by_class(matrix)[2]
    drawn = compute_f1_of_draws(draws.reshape(-1, *matrix.shape), f1)
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    macro_low, macro_high = np.quantile(drawn.mean(axis=1), tails)
    lows, highs = np.quantile(drawn, tails, axis=0)
    return (
        Interval(float(f1.mean()), float(macro_low), float(macro_high)),
        [Interval(*map(float, ends)) for ends in zip(f1, lows, highs, strict=True)],
        drawn.std(axis=0, ddof=1).tolist(),
    )
