"""The embedded server as a child process, where no other is at hand."""

import socket
import subprocess
import sys
import threading
import time

import numpy as np

from muwnet_fer.data import fer2013
from muwnet_fer.serving import client

DEFAULT_ADDRESS = "127.0.0.1:8500"

_COMMAND = [sys.executable, "-c", "from muwnet_fer import cli; cli.main(prog_name='muwnet-fer')"]
_DRAIN = 10.0  # seconds that it has to end
_PAUSE = 1.0  # seconds before it is started again


class EmbeddedServerError(Exception):
    """An embedded server that did not start."""


def is_listening(address: str) -> bool:
    """Returns whether anything takes connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


class EmbeddedServer:
    """`muwnet-fer serve` on its default port, from entering to leaving; its words go to stderr.

    Once it was ready, it is started again whenever it ends.
    """

    def __enter__(self) -> "EmbeddedServer":
        self._process = _start()
        self._is_closing, self._lock = False, threading.Lock()
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            self._is_closing = True
            self._process.terminate()
        try:
            self._process.wait(_DRAIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, emotion_client: client.EmotionClient) -> None:
        """Returns when it has answered a request.

        Raises:
          EmbeddedServerError: where it ends instead.
        """
        while True:
            try:
                check(emotion_client)
                break
            except (client.ServerUnavailableError, client.DeadlineExceededError) as error:
                try:
                    code = self._process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
                raise EmbeddedServerError(
                    f"expected `muwnet-fer serve` to start, got exit code {code}: see above"
                ) from error
        threading.Thread(target=self._keep_running, daemon=True).start()

    def _keep_running(self) -> None:
        while True:
            self._process.wait()
            time.sleep(_PAUSE)
            with self._lock:
                if self._is_closing:
                    return
                self._process = _start()


def _start() -> subprocess.Popen:
    # In a session of its own: Ctrl-C is for the webcam, which then ends the server.
    return subprocess.Popen(
        [*_COMMAND, "serve", "--no-rest"],
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    )


def check(emotion_client: client.EmotionClient) -> None:
    """Asks the server for one face, which also warms the connection; raises client.ServerError."""
    emotion_client.predict([np.zeros((fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), np.uint8)])
