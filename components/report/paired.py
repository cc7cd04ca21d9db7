"""Two models' predictions of the same faces: differences, 95 % intervals, McNemar's test."""

import dataclasses
import math

import numpy as np
import scipy.stats

from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import figures

_TAILS = (0.025, 0.975)
_RESAMPLES, _SEED = 2000, 1


class ComparisonError(ValueError):
    """Two runs that cannot be compared; the message says why."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """A figure of both models, and the second's minus the first's with its interval.

    Those of F1 are a bootstrap's over faces, drawn for both models together.
    """

    first: float
    second: float
    change: figures.Interval

    @property
    def moved(self) -> bool:
        """True where the interval does not hold 0."""
        return self.change.low > 0 or self.change.high < 0


@dataclasses.dataclass(frozen=True)
class AccuracyDifference(Difference):
    """Of accuracies: also the faces that one model alone gets right, and how likely chance alone
    makes these two numbers so unequal (McNemar's exact test).

    The interval is Agresti and Min's (2005, Statistics in Medicine 24:729): Wald's of matched
    pairs with half a face more in each of the four cells. It has a width for a handful of faces
    that both models answer alike, too.
    """

    rows: int
    only_first: int
    only_second: int
    p_value: float


def check_rows(
    first: predictor_artifacts.PredictedSplit, second: predictor_artifacts.PredictedSplit
) -> None:
    """Raises ComparisonError unless both are of the same rows and labels."""
    for name in ("rows", "labels"):
        of_first, of_second = getattr(first, name), getattr(second, name)
        if not np.array_equal(of_first, of_second):
            raise ComparisonError(
                f"expected two runs that were judged on the same faces, got other {name} "
                f"({len(of_first):,} and {len(of_second):,} faces)"
            )


def compare_accuracy(first: np.ndarray, second: np.ndarray) -> AccuracyDifference:
    """Compares which answers are right, bool [N] each, N of at least 1."""
    count = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    unequal = only_first + only_second
    middle = (only_second - only_first) / (count + 2)
    error = math.sqrt((unequal + 1) / (count + 2) - middle**2) / math.sqrt(count + 2)
    low, high = scipy.stats.norm.interval(figures.CONFIDENCE, middle, error)
    return AccuracyDifference(
        float(first.mean()),
        float(second.mean()),
        figures.Interval(
            (only_second - only_first) / count, max(-1.0, float(low)), min(1.0, float(high))
        ),
        count,
        only_first,
        only_second,
        float(scipy.stats.binomtest(only_first, unequal).pvalue) if unequal else 1.0,
    )


def compare_f1(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[Difference, dict[str, Difference]]:
    """Compares the macro F1 and each emotion's; predictions are int64 [N] each."""
    classes = len(fer2013.EMOTIONS)
    cells = (labels * classes + first) * classes + second
    counts = np.bincount(cells, minlength=classes**3)
    draws = np.random.default_rng(_SEED).multinomial(len(labels), counts / len(labels), _RESAMPLES)

    cube, drawn_cubes = (of.reshape(-1, classes, classes, classes) for of in (counts, draws))
    of_first, of_second = (figures.compute_by_class(cube[0].sum(axis))[2] for axis in (-1, -2))
    drawn = figures.compute_f1_of_draws(drawn_cubes.sum(-2), of_second)
    drawn -= figures.compute_f1_of_draws(drawn_cubes.sum(-1), of_first)
    macro = _make(of_first.mean(), of_second.mean(), drawn.mean(axis=-1))
    by_emotion = {
        emotion: _make(of_first[label], of_second[label], drawn[:, label])
        for label, emotion in enumerate(fer2013.EMOTIONS)
    }
    return macro, by_emotion


def _make(first: float, second: float, drawn: np.ndarray) -> Difference:
    low, high = np.quantile(drawn, _TAILS)
    change = figures.Interval(float(second - first), float(low), float(high))
    return Difference(float(first), float(second), change)
