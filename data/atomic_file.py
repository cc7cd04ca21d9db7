"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

_SUFFIX = ".unfinished"


@contextlib.contextmanager
def replace(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, which takes its place where no error comes.

    An error leaves an earlier file as it was and no temporary one.
    """
    # In the same folder, because a file can only be renamed inside its file system; hidden, and by
    # process, so that neither a reader nor a second writer takes it for its own.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def list_unfinished(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the temporary files in a folder: killed processes leave theirs."""
    return list(folder.glob(f".*{_SUFFIX}"))
