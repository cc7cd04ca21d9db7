"""Figures equal scikit-learn's; their intervals hold what they should."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import figures


def draw(count: int, seed: int = 1, skill: float = 1.0):
    """Returns labels, and probabilities that know something of them."""
    random = np.random.default_rng(seed)
    labels = random.choice(7, count, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17])
    logits = random.normal(size=(count, 7)) + skill * np.eye(7)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def test_figures_equal_scikit_learns():
    labels, probabilities = draw(2000)
    _, ten_views = draw(2000, seed=2, skill=0.0)
    leak_free = np.arange(2000) % 3 > 0
    found = figures.compute(labels, probabilities, ten_views, leak_free)
    guesses = probabilities.argmax(axis=1)
    f1 = sklearn_metrics.f1_score(labels, guesses, labels=range(7), average=None)
    assert found.rows == 2000
    assert found.accuracy.value == pytest.approx((labels == guesses).mean())
    assert found.macro_f1.value == pytest.approx(f1.mean())
    by_class = [found.f1[emotion].value for emotion in fer2013.EMOTIONS]
    np.testing.assert_allclose(by_class, f1)
    np.testing.assert_array_equal(
        figures.count_confusion(labels, probabilities),
        sklearn_metrics.confusion_matrix(labels, guesses, labels=range(7)),
    )
    blind = ten_views.argmax(axis=1)
    assert found.ten_views_accuracy.value == pytest.approx((labels == blind).mean())
    assert found.ten_views_macro_f1.value == pytest.approx(
        sklearn_metrics.f1_score(labels, blind, average="macro")
    )
    assert found.leak_free_rows == leak_free.sum()
    expected = (labels == guesses)[leak_free].mean()
    assert found.leak_free_accuracy.value == pytest.approx(expected)


def test_intervals_are_wilsons_and_the_bootstraps():
    # Wilson's interval of 70 of 100, from its formula with z = 1.959964.
    labels = np.zeros(100, int)
    probabilities = np.eye(7, dtype=np.float32)[[0] * 70 + [1] * 30]
    found = figures.compute(labels, probabilities, probabilities, np.ones(100, bool))
    assert found.accuracy.low == pytest.approx(0.6042, abs=1e-4)
    assert found.accuracy.high == pytest.approx(0.7811, abs=1e-4)
    # F1 of angry from the recall r alone: 2r / (1 + r), r within 2 binomial deviations of .7.
    angry = found.f1["angry"]
    assert angry.value == pytest.approx(1.4 / 1.7)
    assert angry.low == pytest.approx(2 * 0.61 / 1.61, abs=0.01)
    assert angry.high == pytest.approx(2 * 0.79 / 1.79, abs=0.01)
    deviation = 2 / 1.7**2 * np.sqrt(0.7 * 0.3 / 100)  # by the derivative of 2r / (1 + r)
    assert found.f1_standard_error["angry"] == pytest.approx(deviation, rel=0.1)


def test_intervals_hold_the_true_figure_as_often_as_they_say():
    labels, probabilities = draw(200_000, seed=3)
    truth = figures.compute(labels, probabilities, probabilities, np.ones(len(labels), bool))
    held = []
    for start in range(0, 200_000, 2000):
        part = slice(start, start + 2000)
        found = figures.compute(
            labels[part], probabilities[part], probabilities[part], np.ones(2000, bool)
        )
        held.append(
            (
                found.accuracy.low <= truth.accuracy.value <= found.accuracy.high,
                found.macro_f1.low <= truth.macro_f1.value <= found.macro_f1.high,
            )
        )
    shares = np.mean(held, axis=0)
    assert (shares >= 0.88).all() and (shares <= 0.99).all()


def test_few_rows_keep_the_macro_f1_within_its_interval():
    """Draws of eight rows leave out whole classes, whose F1 is not 0 for that."""
    labels = np.arange(8) % 7
    for wrong in range(4):
        answers = np.where(np.arange(8) < wrong, (labels + 1) % 7, labels)
        probabilities = np.eye(7, dtype=np.float32)[answers]
        measured = figures.compute(labels, probabilities, probabilities, np.ones(8, bool))
        macro = measured.macro_f1
        assert macro.low <= macro.value <= macro.high


def test_nothing_leak_free_is_no_figure():
    labels, probabilities = draw(10)
    found = figures.compute(labels, probabilities, probabilities, np.zeros(10, bool))
    assert found.leak_free_accuracy is None
    assert found.leak_free_rows == 0
    assert dataclasses.asdict(found)["rows"] == 10
