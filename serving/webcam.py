"""`muwnet-fer webcam`: recognises the faces that a camera, a file or a stream shows.

Makes what the loop needs in the order in which it may fail, and takes it down again whatever
happens: a child process never stays, a recording is always completed.
"""

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable

import numpy as np

from muwnet_fer.serving import (
    capture,
    client,
    display,
    embedded,
    faces,
    recognition,
    recording,
    tracking,
    video_detector,
    video_source,
    webcam_loop,
)


class AddressError(ValueError):
    """A server's address that is none."""


# What can go wrong without a fault of the program; the message says all.
ERRORS = (
    video_source.SourceError,
    recording.RecordingError,
    display.DisplayError,
    embedded.EmbeddedServerError,
    client.ServerError,
    webcam_loop.LoopError,
)
# Seconds. While one request waits, frames are shown without faces, so it may take its time.
_DEADLINE = 5.0
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_LOADING = 60.0  # seconds that a server which takes connections may take to answer the first


@dataclasses.dataclass(frozen=True)
class Options:
    """As on the command line."""

    source: str = "0"
    server: str | None = None  # HOST:PORT; None: the default port, or the embedded server
    output: str | None = None
    csv: str | None = None
    no_display: bool = False
    smoothing: float = 0.5
    max_faces: int = 10
    keys: str = ""
    root_certificates: bytes | None = None  # PEM; the server is asked by TLS


def run(options: Options, say: Callable[[str], None]) -> webcam_loop.Summary:
    """Runs the loop until its end; `say` takes messages for the terminal.

    A file that is recorded (`output`, `csv`) is worked through frame by frame, each waits for its
    faces; one that is only shown plays at its own speed, and late frames are dropped.

    Raises:
      one of ERRORS; AddressError.
    """
    is_recorded = options.output is not None or options.csv is not None
    with _interruptible(), contextlib.ExitStack() as stack:
        source = stack.enter_context(capture.Capture(options.source, is_recorded))
        video = rows = None
        if options.output is not None:
            video = stack.enter_context(recording.VideoRecorder(options.output, source.rate))
        if options.csv is not None:
            rows = stack.enter_context(recording.CsvRecorder(options.csv))
        screen = display.NoWindow() if options.no_display else display.Window()
        stack.callback(screen.close)
        # The client is closed first: that ends a request which the recogniser would wait for.
        emotion_client = _connect(options, stack, say)
        recogniser = stack.enter_context(
            recognition.Recogniser(
                video_detector.VideoDetector(
                    faces.HaarDetector(), faces.HaarDetector(faces.SMALLEST // 2)
                ),
                emotion_client,
                options.max_faces,
            )
        )
        stack.callback(emotion_client.close)
        loop = webcam_loop.Loop(
            source,
            recogniser,
            tracking.Tracker(options.smoothing),
            screen,
            keys=options.keys,
            video=video,
            rows=rows,
            say=say,
        )
        summary = loop.run()
    if source.ending:
        say(source.ending)
    say(format_summary(summary, source.dropped))
    return summary


def _connect(
    options: Options, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> client.EmotionClient:
    """Returns a client of a server that has answered; starts the embedded one if need be."""
    address = options.server or embedded.DEFAULT_ADDRESS
    try:
        # The loop itself tries again, with the next frame.
        emotion_client = client.EmotionClient(
            address,
            deadline=_DEADLINE,
            retry_for=0.0,
            root_certificates=options.root_certificates,
        )
    except ValueError as error:
        raise AddressError(str(error)) from error
    if options.server is None and not embedded.is_listening(address):
        say(f"no server at {address}: starting `muwnet-fer serve`, which takes a while")
        stack.enter_context(embedded.EmbeddedServer()).wait_until_ready(emotion_client)
    else:
        _wait_until_loaded(emotion_client, say)
    return emotion_client


def _wait_until_loaded(emotion_client: client.EmotionClient, say: Callable[[str], None]) -> None:
    """Returns once the server has answered: one that starts listens before its model is loaded.

    Raises:
      client.ServerError: where it does not.
    """
    end = time.monotonic() + _LOADING
    is_said = False
    while True:
        try:
            return embedded.check(emotion_client)
        except client.DeadlineExceededError:
            if time.monotonic() > end:
                raise
            if not is_said:
                say(f"waiting for the server at {emotion_client.address}")
            is_said = True


@contextlib.contextmanager
def _interruptible():
    """SIGTERM, and SIGHUP of a closed terminal, end the program as SIGINT does: in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays so: nohup.
    numbers = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def format_summary(summary: webcam_loop.Summary, dropped: int) -> str:
    """Returns a line on what the loop did."""
    rate = summary.shown / summary.seconds if summary.seconds else 0.0
    parts = [
        f"{summary.recognised} frames recognised, {summary.shown} shown, {dropped} dropped",
        f"faces: {len(summary.faces)}",
        f"{rate:.1f} frames/s",
    ]
    if summary.latencies:
        latency = 1000 * np.percentile(summary.latencies, 95)
        parts.append(f"capture to drawn within {latency:.0f} ms for 95 %")
    return "; ".join(parts)
