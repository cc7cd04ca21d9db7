"""Which files `muwnet-fer predict` looks at, and where their annotated copies go."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from muwnet_fer.serving import faces


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A file to look at, and the path that its annotated copy gets below a folder.

    `error` says why there is nothing to look at: of a folder that cannot be read.
    """

    path: pathlib.Path
    name: pathlib.PurePath
    error: str | None = None


def find(paths: Iterable[pathlib.Path], copies: pathlib.Path | None = None) -> list[Photograph]:
    """Returns the named files, and from named folders, at any depth, those named as pictures.

    Args:
      copies: a folder within a named one that is passed over: of an earlier run's copies.

    Raises:
      OSError: for a named folder that cannot be read; one within it is listed with its error.
    """
    listed = {}
    for path in paths:
        if path.is_dir():
            for found in _walk(path, path, copies and copies.resolve()):
                listed.setdefault(found.path, found)
        else:
            listed.setdefault(path, Photograph(path, pathlib.PurePath(path.name)))
    return list(listed.values())


def _walk(
    top: pathlib.Path, folder: pathlib.Path, copies: pathlib.Path | None
) -> Iterator[Photograph]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        if folder == top:
            raise
        why = f"{folder}: expected a readable folder, got {error.strerror}"
        yield Photograph(folder, folder.relative_to(top), why)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue  # the file system's own; half-written copies
        if entry.is_dir() and not entry.is_symlink():
            if entry.resolve() != copies:
                yield from _walk(top, entry, copies)
        elif entry.suffix.lower() in faces.SUFFIXES and entry.is_file():
            yield Photograph(entry, entry.relative_to(top))


def plan_copies(
    files: Sequence[Photograph], folder: pathlib.Path
) -> dict[pathlib.Path, pathlib.Path]:
    """Returns where each annotated copy goes, by the path of its original; none of an error's.

    Raises:
      ValueError: where it would take the place of an original, or of another's copy.
    """
    files = [photograph for photograph in files if not photograph.error]
    originals = {_identify(photograph.path): photograph.path for photograph in files}
    copies: dict[pathlib.Path, pathlib.Path] = {}
    for photograph in files:
        copy = folder / photograph.name
        if copy in copies:
            raise ValueError(
                f"expected files of different names for {folder}, got {copies[copy]} and "
                f"{photograph.path}"
            )
        # Links too: whatever leads to an original is left alone.
        if copy.exists() and (original := originals.get(_identify(copy))):
            raise ValueError(f"expected a folder that overwrites no input, got {original}")
        copies[copy] = photograph.path
    return {path: copy for copy, path in copies.items()}


def _identify(path: pathlib.Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
