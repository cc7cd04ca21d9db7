"""What an error from below means to whoever started the run."""

import errno
from collections.abc import Iterator

_GO_ON = "then run the same command again: it goes on after the last component done"
_ADVICE = {
    errno.ENOSPC: f"the disk is full: free some space (muwnet-fer prune helps), {_GO_ON}",
    errno.EDQUOT: f"the disk quota is used up: free some space (muwnet-fer prune helps), {_GO_ON}",
    errno.EROFS: f"the output folder cannot be written: make it writable, {_GO_ON}",
    errno.EACCES: f"a file may not be read or written: mend its permissions, {_GO_ON}",
}
# Beam, TensorFlow and SQLite pass the system's errors on as text.
_ERRNO_OF_TEXT = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "attempt to write a readonly database": errno.EROFS,
    "Permission denied": errno.EACCES,
}


_DAMAGED_DATABASE = "file is not a database"


def advise(error: BaseException) -> str | None:
    """Returns what to do about an error of the system, None for any other error."""
    for cause in _list_causes(error):
        if _DAMAGED_DATABASE in str(cause):
            return (
                "metadata.db in the output folder is damaged: delete it, then run the same command "
                "again; it begins without the earlier runs' results"
            )
        if isinstance(cause, OSError) and cause.errno in _ADVICE:
            return _ADVICE[cause.errno]
        for text, number in _ERRNO_OF_TEXT.items():
            if text in str(cause):
                return _ADVICE[number]
    return None


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
