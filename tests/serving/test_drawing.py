"""What is drawn can be read: labels whole and in the frame, bars as long as they ought to be."""

import cv2
import numpy as np
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.serving import drawing, faces, prediction

SHAPES = [(168, 299), (480, 640), (1080, 1920), (2160, 3840)]


def predict(*probabilities: float) -> prediction.Prediction:
    by_emotion = dict(zip(fer2013.EMOTIONS, probabilities, strict=True))
    return prediction.Prediction(max(by_emotion, key=by_emotion.get), by_emotion)


HAPPY = predict(0.05, 0, 0.1, 0.6, 0.05, 0.2, 0)


def make_frame(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 70, np.uint8)


def find(frame: np.ndarray, result: prediction.Prediction) -> float:
    """Returns how well the best place in a frame matches a label: 1 where it stands there whole."""
    text = f"{result.label} {result.probabilities[result.label]:.0%}"
    size = drawing.text_size(frame)
    width, height = drawing.measure_text(text, size)
    label = np.zeros((height, width, 3), np.uint8)
    drawing.draw_text(label, text, 0, 0, size, drawing.COLORS[result.label])
    return cv2.matchTemplate(frame, label, cv2.TM_CCOEFF_NORMED).max()


def measure_bars(frame: np.ndarray) -> dict[str, int]:
    """Returns the pixels of each emotion's colour."""
    return {
        emotion: int((frame == color).all(axis=2).sum())
        for emotion, color in drawing.COLORS.items()
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("x", [-0.1, 0, 0.4, 0.8, 0.95])
@pytest.mark.parametrize("y", [-0.1, 0, 0.4, 0.8, 0.95])
def test_labels_stand_whole_in_the_frame(shape, x, y):
    frame = make_frame(*shape)
    side = shape[0] // 5
    box = faces.Box(int(x * shape[1]), int(y * shape[0]), side, side)
    drawing.draw_faces(frame, [(box, HAPPY)])
    assert find(frame, HAPPY) > 0.99


@pytest.mark.parametrize("shape", SHAPES)
def test_bars_are_as_long_as_the_probabilities(shape):
    frame = make_frame(*shape)
    side = shape[0] // 4
    drawing.draw_faces(frame, [(faces.Box(shape[1] // 2, side, side, side), HAPPY)])
    bars = measure_bars(frame)
    # Lengths are whole pixels of 4 text sizes.
    step = 1 / (4 * drawing.text_size(frame))
    for emotion in ("angry", "fear", "sad"):
        ratio = HAPPY.probabilities[emotion] / HAPPY.probabilities["surprise"]
        assert bars[emotion] / bars["surprise"] == pytest.approx(ratio, abs=step / 0.2 + 0.01)
    assert 0 < bars["disgust"] <= bars["angry"]


def test_face_that_fills_the_frame_has_its_bars_within():
    frame = make_frame(480, 480)
    drawing.draw_faces(frame, [(faces.Box(20, 40, 440, 430), HAPPY)])
    assert find(frame, HAPPY) > 0.99
    assert min(measure_bars(frame).values()) > 0


def test_text_grows_with_the_frame_and_never_gets_too_small():
    assert drawing.text_size(make_frame(60, 80)) == 11
    assert drawing.text_size(make_frame(480, 640)) == 13
    assert drawing.text_size(make_frame(2160, 3840)) == 60
    # A line holds what it is called: letters are as high as the size says, within a third.
    frame = np.zeros((200, 600, 3), np.uint8)
    drawing.draw_text(frame, "surprise happy", 0, 0, 60)
    rows = np.flatnonzero(frame.any(axis=(1, 2)))
    assert 40 <= rows[-1] - rows[0] <= 75


def test_no_face_is_hidden_by_the_bars_of_another():
    random = np.random.default_rng(2)
    for count in (2, 5, 12, 40):
        frame = make_frame(720, 1280)
        cells = random.choice(16 * 9, count, replace=False)
        boxes = [faces.Box(int(c % 16) * 80 + 5, int(c // 16) * 80 + 25, 50, 50) for c in cells]
        results = [predict(*random.dirichlet(np.ones(7))) for _ in boxes]
        drawing.draw_faces(frame, list(zip(boxes, results, strict=True)))
        for box in boxes:
            inner = frame[box.y + 6 : box.y + 44, box.x + 6 : box.x + 44]
            dark = (inner != 70).any(axis=2).mean()
            # Labels of neighbours may reach over an edge; a panel would cover all of it.
            assert dark < 0.7
        if count <= 5:
            for result in results:
                assert find(frame, result) > 0.99


def test_nothing_is_drawn_for_no_faces():
    frame = make_frame(48, 64)
    drawing.draw_faces(frame, [])
    assert (frame == 70).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (200, 5), (30, 30)])
def test_frames_too_small_for_text_are_drawn_on_all_the_same(shape):
    frame = make_frame(*shape)
    drawing.draw_faces(frame, [(faces.Box(0, 0, *shape[::-1]), HAPPY)])
    assert (frame != 70).any()


@pytest.mark.parametrize(("x", "y"), [(-500, 10), (500, 10), (10, -500), (10, 500), (-20, 95)])
def test_text_outside_of_the_frame_is_cut_off(x, y):
    frame = make_frame(100, 100)
    area = drawing.draw_text(frame, "happy", x, y, 20, drawing.BLACK)
    assert (area.x, area.y) == (x, y)
    assert (frame != 70).any() == (x == -20)


def test_text_is_told_from_every_background():
    for color in drawing.COLORS.values():
        frame = np.zeros((40, 120, 3), np.uint8)
        area = drawing.draw_text(frame, "happy", 0, 0, 20, color)
        label = frame[: area.height, : area.width].astype(float) / 255
        # WCAG's contrast: at least 4.5 between text and background.
        linear = np.where(label <= 0.04045, label / 12.92, ((label + 0.055) / 1.055) ** 2.4)
        luminance = linear @ (0.0722, 0.7152, 0.2126)
        background = luminance[0, 0]
        text = max(luminance.max(), luminance.min(), key=lambda value: abs(value - background))
        ratio = (max(text, background) + 0.05) / (min(text, background) + 0.05)
        assert ratio > 4.5, color
