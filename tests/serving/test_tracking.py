"""Faces keep their ids through wobble, crossing and short absence; labels do not flicker."""

import numpy as np
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.serving import client, faces, tracking

RATE = 25.0


def predict(**probabilities) -> client.Prediction:
    rest = (1 - sum(probabilities.values())) / (len(fer2013.EMOTIONS) - len(probabilities))
    full = {emotion: probabilities.get(emotion, rest) for emotion in fer2013.EMOTIONS}
    return client.Prediction(max(full, key=full.get), full)


HAPPY, SAD = predict(happy=0.9), predict(sad=0.9)


def box(x, y=100, size=80) -> faces.Box:
    return faces.Box(round(x), round(y), size, size)


def follow(frames, smoothing=0.0):
    """Returns each frame's ids, of frames that are lists of boxes, at 25 a second."""
    tracker = tracking.Tracker(smoothing)
    return [
        [face.id for face in tracker.update(n / RATE, [(one, HAPPY) for one in boxes])]
        for n, boxes in enumerate(frames)
    ]


def test_a_wobbling_face_keeps_its_id():
    random = np.random.default_rng(1)
    frames = [
        [box(200 + random.normal(0, 6), 100 + random.normal(0, 6), 80 + random.integers(-8, 9))]
        for _ in range(200)
    ]
    assert follow(frames) == [[1]] * 200


def test_faces_that_cross_keep_their_ids_though_one_hides_the_other():
    frames, owners = [], []
    for n in range(60):
        left, right = 50 + 8 * n, 530 - 8 * n
        # Where they overlap by more than half, the detector sees one of them only.
        frames.append([box(left)] if abs(left - right) < 40 else [box(left), box(right)])
        owners.append([1] if abs(left - right) < 40 else [1, 2])
    assert 0 < sum(len(boxes) == 1 for boxes in frames) < 10
    ids = follow(frames)
    assert ids[:20] == owners[:20]
    assert ids[-20:] == owners[-20:]


def test_order_of_detection_does_not_matter():
    frames = [[box(100), box(300)], [box(302), box(103)], [box(105), box(305)]]
    assert follow(frames) == [[1, 2], [2, 1], [1, 2]]


def test_who_leaves_and_comes_back_at_once_keeps_the_id_and_later_gets_a_new_one():
    here, gone = [box(200)], []
    assert follow([here, *[gone] * 20, here])[-1] == [1]  # 0.84 s
    assert follow([here, *[gone] * 30, here])[-1] == [2]  # 1.24 s


def test_a_face_elsewhere_is_another_one_and_ids_are_not_used_again():
    assert follow([[box(100)], [box(300)], [box(500)], [box(100)]]) == [[1], [2], [3], [1]]


def test_a_fast_face_is_followed_by_its_speed():
    """60 pixels a frame, of 80: in place it would overlap by 0.14 only."""
    start = [[box(100 + 4 * n * n)] for n in range(8)]
    on = [[box(100 + 4 * 49 + 60 * n)] for n in range(1, 30)]
    assert follow(start + on) == [[1]] * 37
    assert tracking.compute_overlap(box(0), box(60)) < 0.2


def test_overlap_is_intersection_over_union():
    assert tracking.compute_overlap(box(0), box(0)) == 1
    assert tracking.compute_overlap(box(0), box(40)) == pytest.approx(1 / 3)
    assert tracking.compute_overlap(box(0), box(80)) == 0
    assert tracking.compute_overlap(box(0), box(0, 100, 40)) == pytest.approx(0.25)


def test_probabilities_are_the_mean_weighted_by_age():
    tracker = tracking.Tracker(smoothing=0.5)
    given = [predict(happy=p) for p in (0.9, 0.1, 0.4)]
    times = [0.0, 0.3, 1.0]
    for time, prediction in zip(times, given, strict=True):
        (face,) = tracker.update(time, [(box(100), prediction)])
    weights = np.exp(-(1.0 - np.array(times)) / 0.5)
    for emotion in fer2013.EMOTIONS:
        values = [prediction.probabilities[emotion] for prediction in given]
        expected = np.average(values, weights=weights)
        assert face.prediction.probabilities[emotion] == pytest.approx(expected)
    assert sum(face.prediction.probabilities.values()) == pytest.approx(1)


def test_smoothing_depends_on_seconds_and_not_on_the_frame_rate():
    """0.5 s after a face turned from happy to sad, at 10 and at 50 frames a second."""
    happy = []
    for rate in (10, 50):
        tracker = tracking.Tracker(smoothing=0.5)
        for n in range(rate * 5 + 1):
            tracker.update(n / rate, [(box(100), HAPPY)])
        for n in range(rate * 5 + 1, rate * 11 // 2 + 1):
            (face,) = tracker.update(n / rate, [(box(100), SAD)])
        happy.append(face.prediction.probabilities["happy"])
    low, high = predict(sad=0.9).probabilities["happy"], 0.9
    expected = low + (high - low) * np.exp(-1)
    np.testing.assert_allclose(happy, expected, atol=0.01)


def count_changes(smoothing, predictions) -> int:
    tracker = tracking.Tracker(smoothing)
    labels = [
        tracker.update(n / RATE, [(box(100), prediction)])[0].prediction.label
        for n, prediction in enumerate(predictions)
    ]
    return sum(one != other for one, other in zip(labels, labels[1:], strict=False))


def test_labels_change_at_most_half_as_often_with_smoothing_and_follow_a_real_change():
    random = np.random.default_rng(2)
    predictions = [
        predict(happy=0.45 + shift, sad=0.45 - shift)
        for mood in (0.05, -0.05)
        for shift in np.clip(random.normal(mood, 0.1, 250), -0.4, 0.4)
    ]
    raw, smoothed = (count_changes(smoothing, predictions) for smoothing in (0.0, 0.5))
    assert raw > 100
    assert 1 <= smoothed < 15


def test_a_label_does_not_change_for_a_hair():
    predictions = [predict(happy=0.45 + d, sad=0.45 - d) for d in (0.02, -0.02) * 50]
    assert count_changes(0.1, predictions) == 0
    assert count_changes(0.0, predictions) == 99


def test_without_smoothing_predictions_stay_as_they_are():
    tracker = tracking.Tracker(smoothing=0.0)
    for n, prediction in enumerate([HAPPY, SAD, HAPPY]):
        (face,) = tracker.update(n / RATE, [(box(100), prediction)])
        assert face.prediction == prediction


def test_negative_smoothing_is_refused():
    with pytest.raises(ValueError, match="expected smoothing of 0 or more seconds, got -1"):
        tracking.Tracker(smoothing=-1)
