"""Ctrl-C and SIGTERM end a run, also where the first KeyboardInterrupt comes to nothing.

Python raises it wherever the main thread happens to be: within a finaliser or a callback that
TensorFlow calls it is printed and forgotten, and the run would go on.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

REPEAT_AFTER = 4.0  # seconds; what ends a run takes less


@contextlib.contextmanager
def repeated() -> Iterator[None]:
    """Raises KeyboardInterrupt at SIGINT and SIGTERM, again and again until this is left.

    Whoever stops a container by SIGTERM means the same as Ctrl-C. SIGINT stays ignored where it is,
    as in a shell's background jobs. For the main thread only.
    """
    repetitions = []

    def interrupt(number, frame) -> None:
        main = threading.main_thread().ident
        repetition = threading.Timer(REPEAT_AFTER, signal.pthread_kill, (main, number))
        repetition.daemon = True
        repetition.start()
        repetitions.append(repetition)
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for repetition in repetitions:
            repetition.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)
