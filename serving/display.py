"""Where the webcam loop shows its frames and where its keys come from."""

import collections
import os
import subprocess
import sys

import cv2
import numpy as np

_TITLE = "muwnet-fer"
_PROBE_SECONDS = 10.0
# What OpenCV itself refuses, the headless one, it says again below.
_PROBE = """
import contextlib, cv2
with contextlib.suppress(cv2.error):
    cv2.namedWindow("muwnet-fer probe")
"""


class DisplayError(Exception):
    """A window that cannot be opened."""


class Window:
    """OpenCV's window."""

    def __init__(self) -> None:
        """Raises DisplayError where there is no screen."""
        _check_display()
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:  # opencv-python-headless
            raise DisplayError(f"cannot open a window, use --no-display: {error.err}") from error

    def show(self, image: np.ndarray) -> None:
        """Shows a uint8 BGR frame."""
        cv2.imshow(_TITLE, image)

    def read_key(self) -> str:
        """Returns the key pressed since, or "", and lets the window work; q if it was closed."""
        key = cv2.waitKey(1)
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(key & 0xFF) if key >= 0 else ""

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


def _check_display() -> None:
    """Raises DisplayError where there is no screen: Qt would abort the whole process."""
    if sys.platform != "linux":
        return
    if not os.environ.get("DISPLAY"):  # opencv-python brings X11's plugin alone
        raise DisplayError("expected a display (DISPLAY), got none: use --no-display")
    probe = [sys.executable, "-c", _PROBE]
    try:
        found = subprocess.run(probe, capture_output=True, text=True, timeout=_PROBE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise DisplayError(
            f"display {os.environ['DISPLAY']} does not answer: use --no-display"
        ) from error
    if found.returncode:
        said = found.stderr.strip().splitlines() or ["no reason given"]
        raise DisplayError(
            f"cannot open a window on display {os.environ['DISPLAY']}, use --no-display: {said[0]}"
        )


class NoWindow:
    """Shows nothing and has no keys."""

    def show(self, image: np.ndarray) -> None:
        """Does nothing."""

    def read_key(self) -> str:
        """Returns "": no key."""
        return ""

    def close(self) -> None:
        """Does nothing."""


class KeyScript:
    """Keys that are pressed by themselves, one a frame shown; a dot is a frame without any."""

    def __init__(self, keys: str = "") -> None:
        self._keys = collections.deque(keys)

    def read_key(self) -> str:
        """Returns the next frame's key, or ""."""
        key = self._keys.popleft() if self._keys else "."
        return "" if key == "." else key
