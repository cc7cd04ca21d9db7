"""One run at a time for each lineage: a second one would train and push over the first."""

import contextlib
import pathlib
from collections.abc import Iterator

import filelock

_LOCK_FILE = ".lock"
_SECONDS = 0.2  # longer than `is_held` of another process takes


class LineageBusyError(RuntimeError):
    """Another process works on this output folder."""


@contextlib.contextmanager
def hold(output: pathlib.Path) -> Iterator[None]:
    """Keeps other runs out of an output folder; the system frees it however this process ends.

    Raises:
      LineageBusyError: where another process holds it.
      OSError: where the lock cannot be written.
    """
    lock = filelock.FileLock(output / _LOCK_FILE)
    try:
        lock.acquire(timeout=_SECONDS)
    except filelock.Timeout as error:
        raise LineageBusyError(
            f"another command works in {output}: wait until it ends, or name another folder with "
            "--output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_held(output: pathlib.Path) -> bool:
    """Returns whether a process works on an output folder, or may do so: who may not write into it
    cannot try the lock.
    """
    try:
        with filelock.FileLock(output / _LOCK_FILE, blocking=False):
            return False
    except (filelock.Timeout, OSError):
        return True
