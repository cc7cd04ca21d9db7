"""Where frames come from: a camera, a file or a URL, opened by OpenCV, or the reason why not.

A file ends, and so does a URL whose length is known; a camera and a stream have no end but may be
lost.
"""

import dataclasses
import os
import pathlib
import urllib.parse

# What FFmpeg would write to stderr itself; read when it first opens something.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402

cv2.setLogLevel(0)  # what cannot be opened is said by SourceError

_TIMEOUT_MS = 5000  # a URL that is silent for so long is lost


class SourceError(Exception):
    """A source that is none, or cannot be opened or read."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What `--source` names; `name` is fit to be shown: passwords are left out."""

    target: int | str
    name: str

    @property
    def is_url(self) -> bool:
        return isinstance(self.target, str) and "://" in self.target


def find(text: str) -> Source:
    """Returns the source that a camera's number, a path or a URL names.

    Raises:
      SourceError: for what is none of them.
    """
    if text.isdecimal():
        return Source(int(text), f"camera {int(text)}")
    if "://" in text:
        try:
            parts = urllib.parse.urlsplit(text)
        except ValueError as error:
            raise SourceError(f"expected a URL, got {text}: {error}") from error
        return Source(text, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    path = pathlib.Path(text)
    if path.is_dir() or not path.exists():
        found = "a folder" if path.is_dir() else "no such file"
        raise SourceError(f"expected a camera's number, a file or a URL, got {text}: {found}")
    # Absolute, so that FFmpeg takes no colon in a file's name for a protocol.
    return Source(str(path.resolve()), text)


def open_video(source: Source) -> cv2.VideoCapture:
    """Returns the opened source.

    Raises:
      SourceError: where it cannot be opened; says what to look at.
    """
    if source.is_url:
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS),
        ]
        video = cv2.VideoCapture(source.target, cv2.CAP_FFMPEG, timeouts)
        hint = "is the address right, and something sent there?"
    elif isinstance(source.target, int):
        video = cv2.VideoCapture(source.target)
        video.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # no queue of old frames in the driver
        hint = "is it plugged in, free, and this program allowed to use it?"
    else:
        video = cv2.VideoCapture(source.target)
        hint = "it is no video that OpenCV reads"
    if not video.isOpened():
        raise SourceError(f"cannot open {source.name}: {hint}")
    return video


def ends(video: cv2.VideoCapture, source: Source) -> bool:
    """Returns whether the source is of finite length: a regular file, or a URL that tells it."""
    if isinstance(source.target, str) and not source.is_url:
        return pathlib.Path(source.target).is_file()
    return video.get(cv2.CAP_PROP_FRAME_COUNT) > 0
