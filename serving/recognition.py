"""One frame's faces: found, cropped and predicted in a single request, in a thread of its own."""

import concurrent.futures
import dataclasses
import time

from muwnet_fer.serving import capture, client, faces, video_detector


@dataclasses.dataclass(frozen=True)
class Recognition:
    """What a frame shows."""

    detections: list[tuple[faces.Box, client.Prediction]]  # left to right; at most max_faces
    round_trip: float | None  # seconds of the request; None where no face was found


class Recogniser:
    """Works on one frame at a time, apart from capture and display; a context manager."""

    def __init__(
        self,
        detector: video_detector.VideoDetector,
        emotion_client: client.EmotionClient,
        max_faces: int,
    ) -> None:
        self._detector, self._client, self._max_faces = detector, emotion_client, max_faces
        self._asked: float | None = None  # time.monotonic()
        self._looked: concurrent.futures.Future | None = None  # around in the frame before
        self._executor = concurrent.futures.ThreadPoolExecutor(1, "recognition")

    @property
    def address(self) -> str:
        """The server's."""
        return self._client.address

    @property
    def waited(self) -> float:
        """Seconds since the request that is under way was sent; 0 without one."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def __enter__(self) -> "Recogniser":
        return self

    def __exit__(self, *_) -> None:
        self._executor.shutdown(cancel_futures=True)

    def submit(self, frame: capture.Frame) -> "concurrent.futures.Future[Recognition]":
        """Starts with a frame; the result may raise client.ServerError."""
        recognition = self._executor.submit(self._recognise, frame, self._looked)
        self._looked = self._executor.submit(self._detector.look_around)
        return recognition

    def _recognise(
        self, frame: capture.Frame, looked: "concurrent.futures.Future[None] | None"
    ) -> Recognition:
        if looked is not None:
            looked.result()  # done, in this thread: what failed there is told here
        boxes = self._detector.detect(frame.image, frame.time)
        if len(boxes) > self._max_faces:
            largest = sorted(boxes, key=lambda box: box.width * box.height)[-self._max_faces :]
            boxes = [box for box in boxes if box in largest]
        if not boxes:
            return Recognition([], None)
        crops = [faces.crop(frame.image, box) for box in boxes]
        self._asked = asked = time.monotonic()
        try:
            predictions = self._client.predict(crops)
        finally:
            self._asked = None
        round_trip = time.monotonic() - asked
        return Recognition(list(zip(boxes, predictions, strict=True)), round_trip)
