"""Opens a CSV as a stream: plain, .gz, .zip or .tar.gz, known by content. Nothing is extracted."""

import contextlib
import gzip
import io
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from muwnet_fer.data import csv_file, fer2013, rows

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_TAR, _TAR_OFFSET = b"ustar", 257  # POSIX.1-1988
_HEADER_BYTES = 1024
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@contextlib.contextmanager
def open_csv(path: pathlib.Path) -> Iterator[io.BufferedIOBase]:
    """Yields the decompressed bytes of the one CSV in a file.

    Raises:
      MalformedDataError: for an archive that is damaged, encrypted, or holds no or several CSVs
        with FER2013's columns; also where the damage shows only while reading.
    """
    try:
        with contextlib.ExitStack() as stack:
            yield _open(path, stack)
    except _DAMAGED as error:
        raise rows.MalformedDataError(f"{path}: expected a whole archive, got: {error}") from error


def _open(path: pathlib.Path, stack: contextlib.ExitStack) -> io.BufferedIOBase:
    file = stack.enter_context(open(path, "rb"))
    start = file.peek(_HEADER_BYTES)
    if start.startswith(_ZIP):
        return _open_in_zip(path, stack.enter_context(zipfile.ZipFile(file)), stack)
    if not start.startswith(_GZIP):
        return file
    unzipped = stack.enter_context(gzip.open(file))
    if unzipped.peek(_HEADER_BYTES)[_TAR_OFFSET:].startswith(_TAR):
        return _open_in_tar(path, stack.enter_context(tarfile.open(path, "r:gz")), stack)
    return unzipped


def _open_in_zip(path, archive: zipfile.ZipFile, stack) -> io.BufferedIOBase:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if any(member.flag_bits & 1 for member in members):
        raise rows.MalformedDataError(f"{path}: expected an archive without password")
    return _open_member(path, {member.filename: member for member in members}, archive.open, stack)


def _open_in_tar(path, archive: tarfile.TarFile, stack) -> io.BufferedIOBase:
    members = {member.name: member for member in archive if member.isfile()}
    return _open_member(path, members, archive.extractfile, stack)


def _open_member(path, members: dict, open_member, stack) -> io.BufferedIOBase:
    """Opens the one member whose header has FER2013's columns: Kaggle adds other CSVs."""
    csvs = [name for name in members if name.lower().endswith(".csv")]
    fitting = []
    for name in csvs:
        with open_member(members[name]) as stream:
            line = stream.readline(_HEADER_BYTES).decode("utf-8-sig", "replace")
        if set(fer2013.COLUMNS) <= set(csv_file.read_header(line.rstrip("\r\n"))):
            fitting.append(name)
    if len(fitting) != 1:
        columns = ", ".join(fer2013.COLUMNS)
        got = ", ".join(fitting or list(members)[:5]) or "nothing"
        raise rows.MalformedDataError(
            f"{path}: expected one CSV with the columns {columns} in the archive, got {got}; "
            "unpack it and name what you want"
        )
    return stack.enter_context(open_member(members[fitting[0]]))
