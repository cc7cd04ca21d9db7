"""The loop of `muwnet-fer webcam`: frames, their faces, ids and smoothing, view and recordings.

Capture and recognition have threads of their own: frames go on when the server does not. While one
frame is drawn, the next is recognised. Faces are shown on the frame in which they were found.
"""

import collections
import concurrent.futures
import dataclasses
import pathlib
import time
from collections.abc import Callable

from muwnet_fer.serving import (
    capture,
    client,
    display,
    faces,
    recognition,
    recording,
    tracking,
)
from muwnet_fer.serving import view as views

_TICK = 0.02  # seconds until keys are looked at, at the latest
_LATE = 0.5  # seconds that a frame waits for the server before newer ones are shown without faces
_RETRY = 0.2  # seconds between the attempts for a frame that must not go without its faces
_GIVE_UP = 60.0  # seconds of such attempts


class LoopError(Exception):
    """What the loop cannot go on after."""


@dataclasses.dataclass
class Summary:
    """What the loop did."""

    recognised: int = 0  # frames
    shown: int = 0  # frames, with those that went without faces while the server was away
    faces: set[int] = dataclasses.field(default_factory=set)  # ids
    label_changes: int = 0
    seconds: float = 0.0
    source_seconds: float = 0.0  # until the last recognised frame, by the source's clock
    # Seconds from capture to drawn; of the latest, lest days of watching fill the memory.
    latencies: collections.deque = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=10_000)
    )


@dataclasses.dataclass(frozen=True)
class _Flight:
    """A frame under recognition."""

    frame: capture.Frame
    future: "concurrent.futures.Future[recognition.Recognition]"


class Loop:
    """One run. What it is given is made, and closed, by whoever makes it."""

    def __init__(
        self,
        source: capture.Capture,
        recogniser: recognition.Recogniser,
        tracker: tracking.Tracker,
        screen: display.Window | display.NoWindow,
        *,
        keys: str = "",
        video: recording.VideoRecorder | None = None,
        rows: recording.CsvRecorder | None = None,
        snapshots: pathlib.Path = pathlib.Path("."),
        say: Callable[[str], None] = print,
    ) -> None:
        """`keys`: as of display.KeyScript; `snapshots`: their folder; `say`: takes messages."""
        self._source, self._recogniser, self._tracker = source, recogniser, tracker
        self._screen, self._script = screen, display.KeyScript(keys)
        self._video, self._rows, self._snapshots, self._say = video, rows, snapshots, say
        self._view = views.View(screen)
        self._summary = Summary()
        self._labels: dict[int, str] = {}  # of each face, by id
        self._is_stopped = self._is_paused = False
        self._trouble = {"source": "", "server": ""}
        self._server_lost = 0.0  # time.monotonic()

    def stop(self) -> None:
        """Ends the loop soon; any thread may call it."""
        self._is_stopped = True

    def run(self) -> Summary:
        """Runs until the source ends, the key q, stop(), or SIGINT.

        Raises:
          LoopError: where the server did not come back for a recorded file.
          recording.RecordingError: where a recording cannot be written.
        """
        began = time.monotonic()
        try:
            self._run()
        except KeyboardInterrupt:  # as good an end as any: the recordings are completed
            pass
        self._summary.seconds = time.monotonic() - began
        return self._summary

    def _run(self) -> None:
        flight = None
        while not self._is_stopped:
            if flight is None and not self._is_paused:
                flight = self._launch(timeout=_TICK)
                if flight is None and self._source.ended:
                    break
            self._note("source", self._source.notice, self._source.notice)
            if flight is not None:
                flight = self._follow(flight)
            elif self._is_paused or self._view.notice:
                time.sleep(_TICK)
                self._view.show_again()
                self._press(self._script.read_key())
            self._press(self._screen.read_key())

    # === Recognition ===

    def _launch(self, timeout: float) -> _Flight | None:
        frame = self._source.take(timeout)
        return frame and self._launch_frame(frame)

    def _launch_frame(self, frame: capture.Frame) -> _Flight:
        return _Flight(frame, self._recogniser.submit(frame))

    def _follow(self, flight: _Flight) -> _Flight | None:
        """Waits a little for a frame's faces; returns what is under way then."""
        try:
            found = flight.future.result(timeout=_TICK)
        except concurrent.futures.TimeoutError:
            if self._recogniser.waited > _LATE and not self._source.every_frame:
                self._lose_server(f"no answer within {_LATE:g} s")
                newer = self._source.take(timeout=0.0)
                if newer is not None:
                    self._show(newer, [])
            return flight
        except client.ServerError as error:
            self._lose_server(str(error))
            if self._source.every_frame:
                return self._try_again(flight, error)
            self._show_unless_old(flight.frame, [])
            return None
        if found.round_trip is not None:  # without a face, the server was not asked
            self._note("server", "", "")
            self._view.round_trip = found.round_trip
        try:
            return None if self._is_paused else self._launch(timeout=0.0)
        finally:  # also where there is no next frame, since the source failed
            self._finish(flight.frame, found.detections)

    def _lose_server(self, reason: str) -> None:
        if not self._trouble["server"]:
            self._server_lost = time.monotonic()
        self._view.round_trip = None
        self._note("server", f"waiting for the server at {self._recogniser.address}", reason)

    def _try_again(self, flight: _Flight, error: client.ServerError) -> _Flight:
        if time.monotonic() - self._server_lost > _GIVE_UP:
            raise LoopError(f"gave up after {_GIVE_UP:g} s: {error}")
        time.sleep(_RETRY)
        self._view.show_again()
        return self._launch_frame(flight.frame)

    def _finish(
        self, frame: capture.Frame, detections: list[tuple[faces.Box, client.Prediction]]
    ) -> None:
        tracked = self._tracker.update(frame.time, detections)
        if self._rows is not None:
            self._rows.write(frame.time, tracked)
        for face in tracked:
            label = face.prediction.label
            self._summary.label_changes += self._labels.get(face.id, label) != label
            self._labels[face.id] = label
            self._summary.faces.add(face.id)
        self._show_unless_old(frame, tracked)
        self._summary.recognised += 1
        self._summary.source_seconds = frame.time
        self._summary.latencies.append(time.monotonic() - frame.captured)

    def _show_unless_old(self, frame: capture.Frame, tracked: list[tracking.Face]) -> None:
        if frame.time > self._view.time:  # else newer ones were shown while the server was slow
            self._show(frame, tracked)

    def _show(self, frame: capture.Frame, tracked: list[tracking.Face]) -> None:
        self._view.show(frame, tracked)
        self._summary.shown += 1
        if self._video is not None:
            self._video.write(self._view.image, None if self._source.every_frame else frame.time)
        self._press(self._script.read_key())

    # === Words and keys ===

    def _note(self, about: str, notice: str, message: str) -> None:
        """Shows what is wrong as long as it is; says it once, and when it is over."""
        before, self._trouble[about] = self._trouble[about], notice
        if bool(before) != bool(notice):
            self._say(message or f"the {about} is back")
        self._view.notice = (
            "paused: space goes on"
            if self._is_paused
            else "; ".join(filter(None, self._trouble.values()))
        )

    def _press(self, key: str) -> None:
        if key == "q":
            self.stop()
        elif key == "s":
            self._say(self._view.save(self._snapshots))
        elif key == " ":
            self._is_paused = not self._is_paused
            self._source.pause(self._is_paused)
            self._view.forget_rate()
        elif key == "m":
            self._view.is_mirrored = not self._view.is_mirrored
        elif key == "e":
            self._view.has_emoticons = not self._view.has_emoticons
