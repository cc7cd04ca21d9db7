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
_LARGEST_READ = 2**20
_MOST_MEMBERS = 1000  # Kaggle's has three
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
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
        bounded = _BoundedReader(path, unzipped)
        return _open_in_tar(
            path, stack.enter_context(tarfile.open(fileobj=bounded, mode="r:")), stack
        )
    return unzipped


class _BoundedReader:
    """Refuses what makes `tarfile` read much at once: names and headers of any length."""

    def __init__(self, path: pathlib.Path, file: gzip.GzipFile):
        self._path, self._file = path, file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:
            raise rows.MalformedDataError(
                f"{self._path}: expected headers of at most {_LARGEST_READ:,} bytes in the "
                f"archive, got one of {size:,}"
            )
        return self._file.read(size)


def _open_in_zip(path, archive: zipfile.ZipFile, stack) -> io.BufferedIOBase:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in _ZIP_METHODS:
            raise rows.MalformedDataError(
                f"{path}: expected members without password, stored or deflated, "
                f"got {member.filename!r}"
            )
    return _open_member(path, {member.filename: member for member in members}, archive.open, stack)


def _open_in_tar(path, archive: tarfile.TarFile, stack) -> io.BufferedIOBase:
    members = {}
    for number, member in enumerate(archive, 1):
        if number > _MOST_MEMBERS:
            raise rows.MalformedDataError(
                f"{path}: expected at most {_MOST_MEMBERS:,} members in the archive; unpack it"
            )
        if member.isfile():
            members[member.name] = member
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
