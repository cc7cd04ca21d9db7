"""Two lines on a frame: how fast things go, on top; what is wrong, at the bottom."""

import numpy as np

from muwnet_fer.serving import drawing, faces

_AMBER = (60, 190, 255)  # blue, green, red
_PANEL = 0.65  # opacity of what lies behind text


def draw_speed(image: np.ndarray, rate: float, round_trip: float | None) -> None:
    """Writes frames/s and the last request's time, in seconds, onto a uint8 BGR frame."""
    text = f"{rate:.0f} frames/s"
    if round_trip is not None:
        text += f"   round trip {1000 * round_trip:.0f} ms"
    size = drawing.text_size(image)
    width, height = drawing.measure_text(text, size)
    drawing.fill(image, faces.Box(0, 0, width, height), drawing.BLACK, _PANEL)
    drawing.draw_text(image, text, 0, 0, size)


def draw_notice(image: np.ndarray, text: str) -> None:
    """Writes what the one in front of the screen should know onto a uint8 BGR frame."""
    size = drawing.text_size(image)
    while drawing.measure_text(text, size)[0] > image.shape[1] and size > 8:
        size -= 1
    height = drawing.measure_text(text, size)[1]
    top = image.shape[0] - height
    drawing.fill(image, faces.Box(0, top, image.shape[1], height), _AMBER)
    drawing.draw_text(image, text, 0, top, size, _AMBER)
