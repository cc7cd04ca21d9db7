"""failure.advise: the system's errors are known, in whatever they come wrapped."""

import errno
import sqlite3

import pytest
import tensorflow as tf

from muwnet_fer.pipeline import failure


def wrap(error: Exception) -> Exception:
    """As Beam does: another type, the text within."""
    return RuntimeError(f"{error!r} [while running 'Write']")


def raise_from(cause: Exception) -> Exception:
    try:
        raise RuntimeError("component failed") from cause
    except RuntimeError as error:
        return error


FULL = OSError(errno.ENOSPC, "No space left on device", "/out/file")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FULL, "the disk is full"),
        (wrap(FULL), "the disk is full"),
        (raise_from(FULL), "the disk is full"),
        (
            tf.errors.ResourceExhaustedError(None, None, "f; No space left on device"),
            "disk is full",
        ),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied"), "permissions"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
    ],
)
def test_errors_of_the_system_come_with_advice(error, advice):
    assert advice in failure.advise(error)
    assert "run the same command again" in failure.advise(error)


def test_a_damaged_database_is_named():
    error = RuntimeError("Cannot connect sqlite3 database: file is not a database")
    assert "metadata.db in the output folder is damaged: delete it" in failure.advise(error)


@pytest.mark.parametrize("error", [ValueError("full"), FileNotFoundError(2, "No such file")])
def test_other_errors_come_without(error):
    assert failure.advise(error) is None
