"""Synthetic video files, and a stream of pictures over HTTP that can go away and come back."""

import functools
import http.server
import itertools
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from muwnet_fer.data import drawn_face, fer2013

SIZE = (320, 240)  # width, height
FACE = 144  # pixels, of a drawn face's picture
_PART = "--frame\r\nContent-Type: image/jpeg\r\n"


def write(path: pathlib.Path, frames, rate: float = 25.0) -> pathlib.Path:
    """Writes uint8 BGR frames, all of one size, as an MP4."""
    writer = None
    for frame in frames:
        if writer is None:
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(path), codec, rate, frame.shape[1::-1])
        writer.write(frame)
    writer.release()
    return path


def draw_number(number: int) -> np.ndarray:
    """Returns a frame that tells its number, 0 to 255, to read_number, by eight bars."""
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for bit in range(8):
        frame[:, bit * 40 : (bit + 1) * 40] = 255 * (number >> bit & 1)
    return frame


def read_number(frame: np.ndarray) -> int:
    return sum(int(frame[120, bit * 40 + 20].mean() > 128) << bit for bit in range(8))


@functools.cache
def draw_face(emotion: str) -> np.ndarray:
    """Returns a drawn face that the Haar cascade finds, uint8 grey [144, 144]."""
    random = np.random.default_rng(59)
    nuisance = drawn_face.sample_nuisance(random)
    face = drawn_face.draw_face(fer2013.EMOTIONS.index(emotion), nuisance, random)
    return cv2.resize(face, (FACE, FACE), interpolation=cv2.INTER_CUBIC)


def draw_scene(*places: tuple[int, int], emotion: str = "happy", size=SIZE) -> np.ndarray:
    """Returns a uint8 BGR frame with a face at each place (left, top)."""
    face = draw_face(emotion)
    scene = np.full((size[1], size[0]), int(np.median(face)), np.uint8)
    for left, top in places:
        scene[top : top + FACE, left : left + FACE] = face
    return cv2.cvtColor(scene, cv2.COLOR_GRAY2BGR)


def draw_noise(random: np.random.Generator) -> np.ndarray:
    """Returns patches of random size, brightness and contrast, uint8 [48, 48]."""
    patches = int(random.choice([2, 3, 4, 6, 8]))
    low, high = np.sort(random.integers(0, 256, 2))
    drawn = random.uniform(low, high, (patches, patches))
    return np.kron(drawn, np.ones((48 // patches, 48 // patches))).astype(np.uint8)


def walk(number: int) -> tuple[int, int]:
    """Returns the place of a face that goes to and fro."""
    return 16 + abs(number % 140 - 70) * 2, 60


def move_face() -> Iterator[np.ndarray]:
    """Yields frames without end of a face that goes to and fro."""
    return (draw_scene(walk(number)) for number in itertools.count())


def count_frames() -> Iterator[np.ndarray]:
    """Yields numbered frames without end."""
    return (draw_number(number % 256) for number in itertools.count())


class Stream:
    """Motion JPEG over HTTP, as network cameras send it; stop() and start() unplug and plug it."""

    def __init__(self, make_frames: Callable[[], Iterator[np.ndarray]] = count_frames) -> None:
        self._make_frames = make_frames
        self.port = 0
        self._server = None

    @property
    def url(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.port}/live.mjpg"

    def start(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for frame in self.server.make_frames():
                    if self.server.stopped.is_set():
                        return
                    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
                    head = f"{_PART}Content-Length: {len(jpeg)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                    except OSError:
                        return
                    time.sleep(0.02)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._server.stopped = threading.Event()
        self._server.make_frames = self._make_frames
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
