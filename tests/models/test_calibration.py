"""The temperature is the one that the labels were drawn with; the error counts by bins."""

import numpy as np
import pytest
import scipy.special

from muwnet_fer.models.muwnet import calibration


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_that_labels_were_drawn_with_is_found(temperature):
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (20_000, 7)).astype(np.float32)
    probabilities = scipy.special.softmax(logits / temperature, axis=1)
    labels = (probabilities.cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1).clip(0, 6)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    error = calibration.compute_calibration_error(probabilities, labels)
    assert error < 0.015
    sharper = scipy.special.softmax(3 * logits / temperature, axis=1)
    assert calibration.compute_calibration_error(sharper, labels) > 0.05


def test_logits_beyond_a_float_s_range_of_exponents_have_a_temperature():
    logits = np.float32([[800, -800] + [0] * 5] * 3)
    labels = np.array([0, 0, 1])
    assert np.isfinite(calibration.fit_temperature(logits, labels))


def test_a_network_that_knows_every_face_is_not_sure_of_everything():
    logits = 5 * np.eye(7, dtype=np.float32)
    assert calibration.fit_temperature(logits, np.arange(7)) == pytest.approx(0.25, rel=0.1)


def test_calibration_error_is_the_mean_gap_of_its_bins():
    rest = np.full((4, 6), 0.0)
    probabilities = np.hstack([[[0.9], [0.9], [0.55], [1.0]], rest])
    labels = np.array([0, 1, 0, 0])  # right, wrong, right, right
    # In 2 bins: .9, .9, .55 and 1.0 all lie in the upper one.
    assert calibration.compute_calibration_error(probabilities, labels, bins=2) == pytest.approx(
        abs(3 / 4 - (0.9 + 0.9 + 0.55 + 1.0) / 4)
    )
    # In 10 bins: [.5, .6) is .45 too low, [.9, 1] is (2 of 3) .2667 too high.
    assert calibration.compute_calibration_error(probabilities, labels, bins=10) == pytest.approx(
        (1 * 0.45 + 3 * abs(2 / 3 - 2.8 / 3)) / 4
    )
