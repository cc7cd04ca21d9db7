"""What the webcam loop leaves behind: the drawn frames as an MP4, the faces as CSV."""

import csv
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from muwnet_fer.data import fer2013
from muwnet_fer.serving import tracking

COLUMNS = ("time", "face", "x", "y", "width", "height", "label", *fer2013.EMOTIONS)
_LONGEST_GAP = 1.0  # seconds; what is longer, a camera that was away, is left out


class RecordingError(Exception):
    """A file that cannot be written."""


def _create(path: str) -> None:
    """Makes an empty file where there was none, so that what is wrong is known at once."""
    try:
        open(path, "xb").close()
    except FileExistsError:
        raise RecordingError(f"expected {path} not to be there yet: name another") from None
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror}") from error


class VideoRecorder:
    """Writes frames as an MP4 of a constant rate; a context manager."""

    def __init__(self, path: str, rate: float) -> None:
        """`rate`: frames/s. Raises RecordingError where `path` is no new, writable .mp4."""
        if pathlib.Path(path).suffix.lower() != ".mp4":
            raise RecordingError(f"expected a name that ends in .mp4, got {path}")
        _create(path)
        self._path, self._rate = path, rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._count = 0
        self._start = 0.0

    def __enter__(self) -> "VideoRecorder":
        return self

    def __exit__(self, *_) -> None:
        if self._writer is None:
            pathlib.Path(self._path).unlink(missing_ok=True)  # no frame came
            return
        self._writer.release()
        # OpenCV says nothing of what it could not write: on a full disk the index is missing.
        video = cv2.VideoCapture(self._path)
        readable = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        video.release()
        if readable < self._count:
            raise RecordingError(
                f"expected {self._count} frames in {self._path}, got {readable}: is the disk full?"
            )

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Appends a uint8 BGR frame; those of another size are brought to the first one's.

        Once, or, where its `time` in seconds is given, so often that the video keeps up with it:
        cameras deliver at rates of their own.

        Raises:
          RecordingError: where OpenCV cannot write the file.
        """
        if self._writer is None:
            self._open(image)
            self._start = time or 0.0
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size)
        due = self._count + 1
        if time is not None:
            written = self._count / self._rate
            if time - self._start > written + _LONGEST_GAP:
                self._start = time - written
            due = round((time - self._start) * self._rate) + 1
        for _ in range(self._count, due):
            self._writer.write(image)
            self._count += 1

    def _open(self, image: np.ndarray) -> None:
        self._size = image.shape[1::-1]
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(self._path, codec, self._rate, self._size)
        if not self._writer.isOpened():
            raise RecordingError(f"OpenCV cannot write an MP4 of {self._size} to {self._path}")


class CsvRecorder:
    """Writes one row a face and frame: seconds, face's id, box, label and seven probabilities."""

    def __init__(self, path: str) -> None:
        """Raises RecordingError where `path` is no new, writable file."""
        _create(path)
        self._path = path
        self._file = open(path, "w", newline="", encoding="utf-8")
        self._is_used = False
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def __enter__(self) -> "CsvRecorder":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()
        if not self._is_used:
            pathlib.Path(self._path).unlink(missing_ok=True)  # no frame came

    def write(self, time: float, found: Sequence[tracking.Face]) -> None:
        """Appends the faces of the frame at `time`; what is written survives a kill.

        Raises:
          RecordingError: where the disk does not take it.
        """
        self._is_used = True
        try:
            for face in found:
                probabilities = face.prediction.probabilities
                box = (face.box.x, face.box.y, face.box.width, face.box.height)
                self._writer.writerow(
                    [f"{time:.3f}", face.id, *box, face.prediction.label]
                    + [f"{probabilities[emotion]:.4f}" for emotion in fer2013.EMOTIONS]
                )
            self._file.flush()
        except OSError as error:
            raise RecordingError(f"cannot write {self._path}: {error.strerror}") from error
