"""What a run prints: our own lines on standard output, everybody else's in a log file."""

import contextlib
import datetime
import logging
import os
import pathlib
import sys
from collections.abc import Iterator

from absl import logging as absl_logging

LOGGER = logging.getLogger("muwnet_fer")


@contextlib.contextmanager
def separate_output(log_dir: pathlib.Path) -> Iterator[pathlib.Path]:
    """Sends our log lines to standard output, all other output to a new log file; yields its path.

    TensorFlow's C++ code writes past Python, so the file descriptors themselves are redirected.

    Raises:
      OSError: where the log cannot be written.
    """
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    log_path = log_dir / f"{now}.log"
    log_dir.mkdir(parents=True, exist_ok=True)
    log_file = open(log_path, "w", encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    stream = os.fdopen(os.dup(saved[1]), "w", buffering=1, encoding="utf-8", errors="replace")
    ours, everybodys = logging.StreamHandler(stream), logging.StreamHandler(log_file)
    everybodys.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(ours)
    root.addHandler(everybodys)
    absl_logging.set_verbosity(absl_logging.INFO)  # TFX's logger
    try:
        for descriptor in saved:
            os.dup2(log_file.fileno(), descriptor)
        yield log_path
    finally:
        # A full disk must not keep the terminal from coming back.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        for descriptor, original in saved.items():
            os.dup2(original, descriptor)
            os.close(original)
        LOGGER.setLevel(level)
        LOGGER.removeHandler(ours)
        root.removeHandler(everybodys)
        for file in (stream, log_file):
            with contextlib.suppress(OSError):
                file.close()


def log_traceback() -> None:
    """Writes the traceback of the exception in hand to the log file alone."""
    logging.getLogger().error("the run ended with an exception", exc_info=True)
