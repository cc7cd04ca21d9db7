"""What the webcam loop shows: a frame with its faces, how fast things go and what is wrong."""

import collections
import dataclasses
import datetime
import pathlib
import time

import cv2
import numpy as np

from muwnet_fer.serving import capture, display, drawing, emoticons, status, tracking


class View:
    """Draws frames and puts them on the screen; keeps the last one."""

    def __init__(self, screen: display.Window | display.NoWindow) -> None:
        self.is_mirrored = False
        self.has_emoticons = False
        self.notice = ""  # what is wrong; "" for nothing
        self.round_trip: float | None = None  # seconds of the last request
        self.image: np.ndarray | None = None  # uint8 BGR as it is shown
        self._screen = screen
        self._frame: capture.Frame | None = None
        self._faces: list[tracking.Face] = []
        self._shown: collections.deque = collections.deque(maxlen=50)  # time.monotonic()

    @property
    def time(self) -> float:
        """The source's time of the frame on the screen; -1 before the first."""
        return -1.0 if self._frame is None else self._frame.time

    def show(self, frame: capture.Frame, tracked: list[tracking.Face]) -> None:
        """Shows a new frame."""
        self._frame, self._faces = frame, tracked
        self._shown.append(time.monotonic())
        self.show_again()

    def show_again(self) -> None:
        """Shows the last frame again, with what has changed around it."""
        if self._frame is not None:
            self.image = self._draw(self._frame.image)
            self._screen.show(self.image)

    def forget_rate(self) -> None:
        """Starts to count the frames/s anew, after a pause."""
        self._shown.clear()

    def save(self, folder: pathlib.Path) -> str:
        """Writes what is shown as a PNG that is new in `folder`; returns a line on it."""
        if self.image is None:
            return "no snapshot: there is no frame yet"
        now = datetime.datetime.now()
        path = folder / f"muwnet-fer-{now:%Y%m%d-%H%M%S-%f}.png"
        try:
            path.write_bytes(cv2.imencode(".png", self.image)[1].tobytes())
        except OSError as error:
            return f"no snapshot: cannot write {path}: {error.strerror}"
        return f"snapshot: {path}"

    def _draw(self, image: np.ndarray) -> np.ndarray:
        view = cv2.flip(image, 1) if self.is_mirrored else image.copy()
        faces = [(self._place(face, image.shape[1]), face.prediction) for face in self._faces]
        if self.has_emoticons:
            for box, prediction in faces:
                emoticons.overlay(view, box, prediction.label)
        status.draw_speed(view, self._measure_rate(), self.round_trip)
        drawing.draw_faces(view, faces)  # after the speed, lest it hide a label
        if self.notice:
            status.draw_notice(view, self.notice)
        return view

    def _place(self, face: tracking.Face, width: int):
        box = face.box
        return dataclasses.replace(box, x=width - box.x - box.width) if self.is_mirrored else box

    def _measure_rate(self) -> float:
        if len(self._shown) < 2:
            return 0.0
        return (len(self._shown) - 1) / max(self._shown[-1] - self._shown[0], 1e-9)
