"""One round face an emotion, of OpenCV's lines and ellipses, laid over the faces of a frame.

Drawn once on a large canvas, then shrunk to each face's size: smooth edges at any size.
"""

import functools
from collections.abc import Callable

import cv2
import numpy as np

from muwnet_fer.serving import faces

_CANVAS = 512  # pixels a side; all coordinates below are on it
_CENTER = (256, 256)
_RADIUS = 236
_EYES = (176, 336)  # across

# Colours in OpenCV's order: blue, green, red.
_INK, _WHITE, _TEETH = (32, 48, 84), (255, 255, 255), (245, 250, 255)
_MOUTH, _TONGUE, _BLUSH, _WATER = (40, 36, 120), (110, 105, 240), (120, 150, 255), (245, 190, 90)
_YELLOW, _ORANGE, _RED, _GREEN, _BLUE = (
    *((70, 210, 255), (20, 150, 245)),
    *((70, 90, 245), (90, 195, 150), (225, 190, 150)),
)


def overlay(frame: np.ndarray, box: faces.Box, emotion: str) -> None:
    """Lays the emoticon of an emotion over the face in `box` of a uint8 BGR frame, in place."""
    size = max(8, round(1.15 * max(box.width, box.height)))
    left = round(box.x + (box.width - size) / 2)
    top = round(box.y + (box.height - size) / 2)
    # What of it lies within the frame.
    rows = slice(max(top, 0), min(top + size, frame.shape[0]))
    columns = slice(max(left, 0), min(left + size, frame.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    picture = render(emotion, size)[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    opacity = picture[..., 3:].astype(np.float32) / 255
    below = frame[rows, columns]
    below[:] = np.rint(picture[..., :3] * opacity + below * (1 - opacity))


@functools.lru_cache(maxsize=64)
def render(emotion: str, size: int) -> np.ndarray:
    """Returns the emoticon of one of fer2013.EMOTIONS as uint8 BGRA [size, size, 4]."""
    interpolation = cv2.INTER_AREA if size < _CANVAS else cv2.INTER_LINEAR
    return cv2.resize(_draw(emotion), (size, size), interpolation=interpolation)


@functools.cache
def _draw(emotion: str) -> np.ndarray:
    skin, rim, draw_features = _FEATURES[emotion]
    canvas = np.empty((_CANVAS, _CANVAS, 3), np.uint8)
    canvas[:] = rim
    _shade(canvas, skin, rim)
    draw_features(canvas)
    outside = np.zeros((_CANVAS, _CANVAS), np.uint8)
    cv2.circle(outside, _CENTER, _RADIUS, 255, -1, cv2.LINE_AA)
    return np.dstack([canvas, outside])


def _shade(canvas: np.ndarray, skin, rim) -> None:
    """Discs from the rim's colour to the skin's, as if lit from above on the left."""
    for step in np.linspace(0, 1, 60):
        color = [float(a + (b - a) * min(1.0, 1.6 * step)) for a, b in zip(rim, skin, strict=True)]
        center = (round(256 - 40 * step), round(256 - 60 * step))
        cv2.circle(canvas, center, round(_RADIUS + 4 - 190 * step), color, -1, cv2.LINE_AA)


def _ellipse(canvas, center, axes, color, angle=0, start=0, end=360, thickness=-1) -> None:
    cv2.ellipse(canvas, center, axes, angle, start, end, color, thickness, cv2.LINE_AA)


def _line(canvas, points, color=_INK, thickness=22) -> None:
    cv2.polylines(canvas, [np.array(points, np.int32)], False, color, thickness, cv2.LINE_AA)


def _eyes(canvas, height=215, axes=(28, 42)) -> None:
    for x in _EYES:
        _ellipse(canvas, (x, height), axes, _INK)
        _ellipse(canvas, (x - 9, height - axes[1] // 3), (9, 12), _WHITE)


def _wide_eyes(canvas, height, pupil) -> None:
    for x in _EYES:
        _ellipse(canvas, (x, height), (48, 56), _WHITE)
        _ellipse(canvas, (x, height), (48, 56), _INK, thickness=8)
        _ellipse(canvas, (x, height + 4), (pupil, pupil), _INK)
        _ellipse(canvas, (x - pupil // 3, height - pupil // 3), (pupil // 3, pupil // 3), _WHITE)


def _brows(canvas, inner, outer, thickness=22) -> None:
    """`inner`, `outer`: heights of their ends towards the nose and away from it."""
    for x, towards_nose in zip(_EYES, (1, -1), strict=True):
        ends = [(x - 48 * towards_nose, outer), (x + 44 * towards_nose, inner)]
        _line(canvas, ends, thickness=thickness)


def _tear(canvas, tip, size) -> None:
    x, y = tip
    _ellipse(canvas, (x, y + 2 * size), (size, size), _WATER)
    drop = np.array([(x, y), (x - size + 2, y + 2 * size - 5), (x + size - 2, y + 2 * size - 5)])
    cv2.fillPoly(canvas, [drop], _WATER, cv2.LINE_AA)
    _ellipse(canvas, (x - size // 3, y + 2 * size), (size // 4, size // 3), _WHITE)


def _draw_angry(canvas) -> None:
    _eyes(canvas, 235, (26, 34))
    _brows(canvas, inner=205, outer=145, thickness=28)
    _ellipse(canvas, (256, 400), (92, 62), _INK, start=200, end=340, thickness=24)


def _draw_disgust(canvas) -> None:
    for x, direction in zip(_EYES, (1, -1), strict=True):  # screwed up: > <
        _line(canvas, [(x - 40 * direction, 190), (x + 28 * direction, 222)])
        _line(canvas, [(x + 28 * direction, 222), (x - 40 * direction, 254)])
    _brows(canvas, inner=165, outer=140, thickness=18)
    _ellipse(canvas, (286, 385), (46, 62), _TONGUE, angle=-12)
    _line(canvas, [(290, 375), (296, 418)], (80, 75, 200), 8)
    across = np.linspace(140, 372, 40)
    _line(canvas, np.stack([across, 345 + 16 * np.sin(across / 22)], axis=1))


def _draw_fear(canvas) -> None:
    _wide_eyes(canvas, 220, pupil=16)
    _brows(canvas, inner=112, outer=140, thickness=18)
    _ellipse(canvas, (256, 385), (88, 50), _MOUTH)
    _ellipse(canvas, (256, 352), (66, 14), _TEETH)
    _ellipse(canvas, (256, 385), (88, 50), _INK, thickness=12)
    _tear(canvas, (430, 120), 24)


def _draw_happy(canvas) -> None:
    for x, cheek in zip(_EYES, (118, 394), strict=True):
        _ellipse(canvas, (x, 225), (44, 44), _INK, start=195, end=345, thickness=24)
        _ellipse(canvas, (cheek, 290), (44, 28), _BLUSH)
    mouth = np.zeros(canvas.shape[:2], np.uint8)
    _ellipse(mouth, (256, 295), (130, 130), 255, start=0, end=180)
    inside = np.empty_like(canvas)
    inside[:] = _MOUTH
    _ellipse(inside, (256, 440), (90, 70), _TONGUE)
    cv2.rectangle(inside, (100, 295), (412, 330), _TEETH, -1)
    opacity = mouth[..., np.newaxis] / 255
    canvas[:] = np.rint(inside * opacity + canvas * (1 - opacity))
    _ellipse(canvas, (256, 295), (130, 130), _INK, start=0, end=180, thickness=12)
    _line(canvas, [(126, 295), (386, 295)], thickness=12)


def _draw_sad(canvas) -> None:
    _eyes(canvas, 232, (26, 38))
    _brows(canvas, inner=138, outer=176, thickness=18)
    _ellipse(canvas, (256, 410), (86, 62), _INK, start=200, end=340, thickness=22)
    _tear(canvas, (150, 275), 26)


def _draw_surprise(canvas) -> None:
    _wide_eyes(canvas, 215, pupil=26)
    for x in _EYES:
        _ellipse(canvas, (x, 138), (50, 36), _INK, start=200, end=340, thickness=18)
    _ellipse(canvas, (256, 380), (52, 66), _MOUTH)
    _ellipse(canvas, (256, 418), (34, 24), _TONGUE)
    _ellipse(canvas, (256, 380), (52, 66), _INK, thickness=12)


def _draw_neutral(canvas) -> None:
    _eyes(canvas)
    _line(canvas, [(176, 362), (336, 362)])


# Skin, rim and what is drawn on them, by emotion.
_FEATURES: dict[str, tuple[tuple, tuple, Callable[[np.ndarray], None]]] = {
    "angry": (_RED, (35, 40, 200), _draw_angry),
    "disgust": (_GREEN, (60, 150, 90), _draw_disgust),
    "fear": (_BLUE, (190, 130, 110), _draw_fear),
    "happy": (_YELLOW, _ORANGE, _draw_happy),
    "sad": (_YELLOW, _ORANGE, _draw_sad),
    "surprise": (_YELLOW, _ORANGE, _draw_surprise),
    "neutral": (_YELLOW, _ORANGE, _draw_neutral),
}
