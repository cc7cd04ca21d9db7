"""Draws faces and what they feel onto a picture: box, label, and a bar for each probability.

Text is rendered by Pillow, with its own TrueType font: OpenCV's strokes are unreadable when small.
"""

import functools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from muwnet_fer.data import fer2013
from muwnet_fer.serving import faces, prediction

Color = tuple[int, int, int]  # blue, green, red
# Okabe and Ito's palette: told apart by the colour-blind too.
COLORS: dict[str, Color] = {
    "angry": (0, 94, 213),
    "disgust": (115, 158, 0),
    "fear": (167, 121, 204),
    "happy": (66, 228, 240),
    "sad": (178, 114, 0),
    "surprise": (0, 159, 230),
    "neutral": (233, 180, 86),
}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
_PANEL = 0.65  # opacity of what lies behind the bars


def draw_faces(frame: np.ndarray, found: Sequence[tuple[faces.Box, prediction.Prediction]]) -> None:
    """Draws each face's box, label and bars into `frame`, uint8 BGR [h, w, 3], in place.

    Labels stay within the frame. Bars stand beside their face, or in it where there is no room
    beside; where they would hide another face or its label they are left out.
    """
    size = text_size(frame)
    labels = [_place_label(frame, box, result, size) for box, result in found]
    taken = [box for box, _ in found] + labels
    for (box, result), label in zip(found, labels, strict=True):
        panel = _place_panel(frame, box, label, size, [area for area in taken if area is not box])
        if panel is not None:
            _draw_bars(frame, panel, result, size)
            taken.append(panel)
    for (box, result), label in zip(found, labels, strict=True):
        color = COLORS[result.label]
        thickness = max(2, size // 6)
        _outline(frame, box, BLACK, thickness + 2)  # a rim, to be told from any background
        _outline(frame, box, color, thickness)
        draw_text(frame, _write_label(result), label.x, label.y, size, color)


def text_size(frame: np.ndarray) -> int:
    """Returns the size of text in pixels: a 36th of the frame's shorter side, never under 11."""
    return max(11, min(frame.shape[:2]) // 36)


def draw_text(
    frame: np.ndarray, text: str, x: int, y: int, size: int, background: Color | None = None
) -> faces.Box:
    """Draws a line of text, `size` pixels high, in place; what lies outside the frame is cut off.

    Args:
      x, y: upper left corner.
      background: colour behind the text, which is black or white, whichever is told from it; by
        default the frame stays and the text is white.

    Returns the place that it took.
    """
    mask = _render(text, size)
    area = faces.Box(x, y, mask.shape[1], mask.shape[0])
    color = WHITE
    if background is not None:
        fill(frame, area, background)
        blue, green, red = background
        color = BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 100 else WHITE
    rows, columns = _clip(frame, area)
    part = frame[rows, columns]
    opacity = mask[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x, np.newaxis]
    part += ((np.array(color) - part.astype(np.int16)) * opacity).astype(np.int16).astype(np.uint8)
    return area


def fill(frame: np.ndarray, area: faces.Box, color: Color, opacity: float = 1.0) -> None:
    """Paints an area, or mixes its pixels with a colour; what lies outside the frame is cut off."""
    rows, columns = _clip(frame, area)
    part = frame[rows, columns]
    if opacity == 1 or part.size == 0:
        part[:] = color
    else:
        part[:] = cv2.addWeighted(part, 1 - opacity, np.full_like(part, color), opacity, 0)


def measure_text(text: str, size: int) -> tuple[int, int]:
    """Returns width and height that `draw_text` takes."""
    height, width = _render(text, size).shape
    return width, height


@functools.lru_cache(maxsize=1024)  # labels, names, percentages: the same again and again
def _render(text: str, size: int) -> np.ndarray:
    """Returns the opacity of a line of text, float32 [height, width] from 0 to 1."""
    font = _load_font(size)
    ascent, descent = font.getmetrics()
    margin = max(2, size // 5)
    shape = int(font.getlength(text)) + 2 * margin, ascent + descent
    image = Image.new("L", shape)
    ImageDraw.Draw(image).text((margin, 0), text, fill=255, font=font)
    return np.asarray(image, np.float32) / 255


@functools.lru_cache(maxsize=8)
def _load_font(size: int):
    return ImageFont.load_default(size)


def _write_label(result: prediction.Prediction) -> str:
    return f"{result.label} {result.probabilities[result.label]:.0%}"


def _place_label(frame, box: faces.Box, result: prediction.Prediction, size: int) -> faces.Box:
    """Above the box; below it where there is no room, within it where there is none either."""
    width, height = measure_text(_write_label(result), size)
    y = box.y - height
    if y < 0:
        below = box.y + box.height
        y = below if below + height <= frame.shape[0] else max(0, box.y)
    x = max(0, min(box.x, frame.shape[1] - width))
    return faces.Box(x, y, width, height)


def _place_panel(
    frame, box: faces.Box, label: faces.Box, size: int, taken: Iterable[faces.Box]
) -> faces.Box | None:
    """Right, left, below, above, or low within the box: the first that fits and hides nothing."""
    width, height = _measure_panel(size)
    gap = max(2, size // 4)
    right, bottom = box.x + box.width, box.y + box.height
    beside = max(0, min(box.y, frame.shape[0] - height))
    along = max(0, min(box.x, frame.shape[1] - width))
    top = min(box.y, label.y)
    for x, y in (
        (right + gap, beside),
        (box.x - gap - width, beside),
        (along, max(bottom, label.y + label.height) + gap),
        (along, top - gap - height),
        (along, min(bottom, frame.shape[0]) - height),
    ):
        area = faces.Box(x, y, width, height)
        is_inside = min(x, y) >= 0 and x + width <= frame.shape[1] and y + height <= frame.shape[0]
        if is_inside and not any(_overlap(area, other) for other in taken):
            return area
    return None


def _measure_panel(size: int) -> tuple[int, int]:
    """Returns width and height of seven lines: name, bar, percentage."""
    line = measure_text("", size)[1]
    return sum(_measure_columns(size)), line * len(fer2013.EMOTIONS)


def _measure_columns(size: int) -> tuple[int, int, int]:
    names = max(measure_text(emotion, size)[0] for emotion in fer2013.EMOTIONS)
    return names + size // 3, 4 * size, measure_text("100%", size)[0]


def _draw_bars(frame, panel: faces.Box, result: prediction.Prediction, size: int) -> None:
    fill(frame, panel, BLACK, _PANEL)
    _outline(frame, panel, COLORS[result.label], max(1, size // 12))  # whose bars these are
    names, longest, _ = _measure_columns(size)
    line = panel.height // len(fer2013.EMOTIONS)
    thickness = max(2, line // 2)
    for row, (emotion, probability) in enumerate(result.probabilities.items()):
        y = panel.y + row * line
        draw_text(frame, emotion, panel.x, y, size)
        length = max(1, round(longest * probability))
        bar = faces.Box(panel.x + names, y + (line - thickness) // 2, length, thickness)
        fill(frame, bar, COLORS[emotion])
        percentage = f"{probability:.0%}"
        end = panel.x + panel.width - measure_text(percentage, size)[0]
        draw_text(frame, percentage, end, y, size)


def _outline(frame: np.ndarray, area: faces.Box, color: Color, thickness: int) -> None:
    corners = (area.x, area.y), (area.x + area.width - 1, area.y + area.height - 1)
    cv2.rectangle(frame, *corners, color, thickness)


def _overlap(one: faces.Box, other: faces.Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def _clip(frame: np.ndarray, area: faces.Box) -> tuple[slice, slice]:
    """Returns the rows and columns of an area that lie within a frame."""
    height, width = frame.shape[:2]
    left, top = min(max(0, area.x), width), min(max(0, area.y), height)
    right = min(max(left, area.x + area.width), width)
    bottom = min(max(top, area.y + area.height), height)
    return slice(top, bottom), slice(left, right)
