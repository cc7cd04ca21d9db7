"""A thread that reads frames into one slot, apart from what is done with them.

From a camera or a stream the newest frame wins: one that nobody took in time is dropped and
counted. A file plays at its own speed in the same way, like a camera; with `every_frame`, meant for
recording, none is dropped and the next is read when the last was taken, however fast or slow.
"""

import dataclasses
import threading
import time

import cv2
import numpy as np

from muwnet_fer.serving import video_source

_USUAL_RATE = 25.0  # frames/s, of a source that does not tell
_WAITS = (0.5, 1.0, 2.0, 4.0, 5.0)  # seconds before each attempt to open a lost source again
_JOIN = 6.0  # seconds: longer than a URL's timeout


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A picture and its times."""

    image: np.ndarray  # uint8 BGR [height, width, 3]
    time: float  # seconds since the first take(), by the source's clock, without pauses
    captured: float  # time.monotonic() when it was read


class Capture:
    """Context manager: opens the source on entering, reads it from the first take() till leaving.

    Raises:
      video_source.SourceError: here for what is no source, on entering for what cannot be opened.
    """

    def __init__(self, source: str, every_frame: bool = False) -> None:
        """`every_frame`: of a source that ends; one without end is never waited for."""
        self.source = video_source.find(source)
        self.dropped = 0  # frames that were read, but never taken
        self.notice = ""  # what is wrong with the source at present
        self.ending = ""  # after its end: how it ended
        self.rate = _USUAL_RATE  # frames/s, nominal
        self.every_frame = every_frame
        self.ends = False  # known once it is open
        self._slot: Frame | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._paused = threading.Event()
        self._is_started = self._finished = False
        self._error: Exception | None = None  # that ended the thread
        self._started = 0.0  # time.monotonic() of the source's time 0

    def __enter__(self) -> "Capture":
        self._video = video_source.open_video(self.source)
        self.ends = video_source.ends(self._video, self.source)
        self.every_frame &= self.ends
        rate = self._video.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 240 else _USUAL_RATE
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        return self

    def __exit__(self, *_) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_JOIN)  # a driver that hangs must not keep the program
        else:
            self._video.release()

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more; where reading failed, take() says so instead."""
        with self._changed:
            return self._finished and self._slot is None and self._error is None

    def take(self, timeout: float) -> Frame | None:
        """Returns the newest frame, waiting up to `timeout` seconds for one; None without.

        Raises:
          video_source.SourceError: where reading failed for good.
        """
        if not self._is_started:
            self._is_started = True
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._slot or self._finished, timeout)
            frame, self._slot = self._slot, None
            self._changed.notify_all()
        if frame is None and self._error is not None:
            raise video_source.SourceError(
                f"expected {self.source.name} to go on, got {self._error}"
            ) from self._error
        return frame

    def pause(self, paused: bool) -> None:
        """Halts a file, or skips what a camera sees meanwhile; the source's time halts, too."""
        (self._paused.set if paused else self._paused.clear)()
        if paused and not self.ends:
            self.take(timeout=0.0)  # it would be old after the pause

    def _run(self) -> None:
        try:
            if self.ends:
                self._play()
            else:
                self._watch()
        except Exception as error:  # OpenCV's, no memory: for the thread that takes the frames
            self._error = error
        finally:
            self._video.release()
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _play(self) -> None:
        """Reads a source that ends."""
        self._started = time.monotonic()
        first = position = 0.0
        count = 0
        while not self._stopping.is_set():
            self._sit_out_pause()
            read, image = self._video.read()
            if not read:
                self._say_how_it_ended(count)
                break
            stamp = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not count:
                first = stamp
            elif stamp - first > position:
                position = stamp - first
            else:  # containers without timestamps
                position += 1 / self.rate
            count += 1
            if not self.every_frame:
                self._stopping.wait(max(0.0, self._started + position - time.monotonic()))
            self._put(Frame(image, position, time.monotonic()))

    def _say_how_it_ended(self, count: int) -> None:
        self.ending = f"end of {self.source.name} after {count} frames"
        expected = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        # Containers may count a few frames more than they hold.
        if count < 0.95 * expected - 1:
            self.ending += f", expected {expected}: the rest cannot be read"

    def _watch(self) -> None:
        """Reads a source without end; opens it again whenever it is lost."""
        self._started = time.monotonic()
        attempt = 0
        while not self._stopping.is_set():
            self._sit_out_pause()
            read, image = self._video.read() if self._video.isOpened() else (False, None)
            if read:
                attempt, self.notice = 0, ""
                now = time.monotonic()
                self._put(Frame(image, now - self._started, now))
                continue
            self._video.release()
            wait = _WAITS[min(attempt, len(_WAITS) - 1)]
            self.notice = f"{self.source.name} gives no picture: next attempt in {wait:g} s"
            attempt += 1
            if self._stopping.wait(wait):
                break
            try:
                self._video = video_source.open_video(self.source)
            except video_source.SourceError:
                continue

    def _sit_out_pause(self) -> None:
        if not self._paused.is_set():
            return
        began = time.monotonic()
        while self._paused.is_set() and not self._stopping.is_set():
            if self.ends or not self._video.grab():
                time.sleep(0.01)
        self._started += time.monotonic() - began

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._paused.is_set() and not self.ends:
                return
            if self.every_frame:
                self._changed.wait_for(lambda: not self._slot or self._stopping.is_set())
            elif self._slot is not None:
                self.dropped += 1
            self._slot = frame
            self._changed.notify_all()
