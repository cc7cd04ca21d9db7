"""Where rows come from, and which data that is: CSVs of one layout, or one folder of images.

The one way into the data: `find` says what a path names, `check` reads all of it before anything
is made of it, `read_rows` yields the good rows.
"""

import collections
import contextlib
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Iterator, Sequence

from muwnet_fer.data import archive, csv_file, fer2013, image_folder, rows


@dataclasses.dataclass(frozen=True)
class Source:
    """CSVs in the order in which they are read, or one folder of images.

    `private_fraction` is the share of the folder's `test` that becomes private_test; None for CSVs.
    `name` is that of the file or folder that was asked for.
    """

    paths: tuple[pathlib.Path, ...]
    private_fraction: float | None = None
    name: str = ""

    @property
    def is_image_folder(self) -> bool:
        """True for a folder of images."""
        return self.private_fraction is not None


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """Which data a source holds.

    `md5` is that of the decompressed CSV (of several, one after the other), or of a folder's names
    and images; `row_counts` counts the good rows by split, `bad_rows` those set aside.
    """

    source: Source
    md5: str
    row_counts: dict[str, int]
    bad_rows: int = 0

    @property
    def kaggle_name(self) -> str | None:
        """Name of the Kaggle file with these bytes, None for any other file."""
        return fer2013.KAGGLE_MD5.get(self.md5)


@dataclasses.dataclass(frozen=True)
class Check:
    """What one pass over all rows found; `train_digests` are those of the train images."""

    identity: DataIdentity
    faults: rows.Faults  # with all that were set aside
    train_digests: frozenset[bytes]


def find(paths: Sequence[pathlib.Path], private_fraction: float | None = None) -> Source:
    """Returns the source that the paths name: files, a folder of CSVs, or a folder of images.

    Several files are named after their folder.

    Raises:
      ValueError: where nothing is there, something is there twice, or a folder of images comes
        without a private fraction.
    """
    files: list[pathlib.Path] = []
    folders = []
    for path in paths:
        if image_folder.is_image_folder(path):
            folders.append(path)
        elif path.is_dir():
            files += _list_shards(path)
        elif path.is_file():
            files.append(path)
        else:
            raise ValueError(f"expected a file or folder at {str(path)!r}, got neither")
    if len(set(files)) < len(files):
        raise ValueError(f"expected each file once, got {', '.join(map(str, files))}")
    if not files and not folders:
        raise ValueError(
            "expected FER2013's CSV, shards of it or a folder of its images, got none at "
            f"{', '.join(map(str, paths))}"
        )
    if not folders:
        if private_fraction is not None:
            raise ValueError("expected no private fraction: the CSV's Usage says what is private")
        named = paths[0] if len(paths) == 1 else files[0].parent
        return Source(tuple(files), name=named.name)
    if files or len(folders) > 1:
        raise ValueError("expected CSVs or one folder of images, got several")
    if private_fraction is None:
        raise ValueError(
            f"{folders[0]}: its `test` is PublicTest and PrivateTest merged. Expected "
            "--private-fraction, the share that judges models and is never trained or selected on "
            "(0.5 for FER2013's own; its rows will not be those of Kaggle's PrivateTest)"
        )
    if not 0 < private_fraction < 1:
        raise ValueError(f"expected a private fraction between 0 and 1, got {private_fraction}")
    return Source((folders[0],), private_fraction, folders[0].name)


def _list_shards(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of a folder by name; hidden ones are the file system's own."""
    shards = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in shards:
        if not path.is_file():
            raise ValueError(f"expected files only in a folder of CSVs, got {str(path)!r}")
    return shards


def check(source: Source, max_bad_rows: int = 0) -> Check:
    """Reads all rows.

    Raises:
      MalformedDataError: for more bad rows than `max_bad_rows`, with the first ten and the count
        of all; where a split has no row; where a file as a whole cannot be read as FER2013's.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    counts = dict.fromkeys(fer2013.SPLITS, 0)
    faults, train_digests = rows.Faults(max_bad_rows), set()
    for parsed in parse(source, md5):
        if isinstance(parsed, rows.Fault):
            faults.add(parsed)
            continue
        counts[parsed.split] += 1
        if parsed.split == fer2013.TRAIN:
            train_digests.add(rows.digest(parsed.image))
    names = ", ".join(map(str, source.paths))
    if faults.count > max_bad_rows:
        allowed = f", expected at most {max_bad_rows:,}" if max_bad_rows else ""
        raise rows.MalformedDataError(
            f"{names}: {faults.count:,} bad rows{allowed} (row 0 follows the header)\n"
            f"{faults.describe()}"
        )
    usages = {split: usage for usage, split in fer2013.SPLIT_OF_USAGE.items()}
    if empty := [usages[split] for split, count in counts.items() if not count]:
        raise rows.MalformedDataError(
            f"{names}: expected rows of every Usage, got none of {', '.join(empty)}"
        )
    identity = DataIdentity(source, md5.hexdigest(), counts, faults.count)
    return Check(identity, faults, frozenset(train_digests))


def compute_md5(source: Source) -> str:
    """Returns the MD5 of DataIdentity alone, without parsing CSVs."""
    md5 = hashlib.md5(usedforsecurity=False)
    if source.is_image_folder:
        collections.deque(parse(source, md5), maxlen=0)
    else:
        for path in source.paths:
            with archive.open_csv(path) as stream:
                while block := stream.read(2**20):
                    md5.update(block)
    return md5.hexdigest()


def read_rows(source: Source) -> Iterator[rows.Row]:
    """Yields the good rows in order; `check` is what names the bad ones."""
    return (parsed for parsed in parse(source) if isinstance(parsed, rows.Row))


def parse(source: Source, md5=None) -> Iterator[rows.Row | rows.Fault]:
    """Yields a Row for each good row in order, else its Fault; feeds all bytes to a hash object."""
    if source.is_image_folder:
        yield from image_folder.parse(source.paths[0], source.private_fraction, md5)
        return
    number = 0
    for path in source.paths:
        with archive.open_csv(path) as stream, contextlib.ExitStack() as stack:
            if md5 is not None:
                stream = stack.enter_context(io.BufferedReader(_HashingReader(stream, md5), 2**20))
            for parsed in csv_file.parse(stream, path, number):
                yield parsed
                number += 1


class _HashingReader(io.RawIOBase):
    """Feeds a hash object with what is read through it."""

    def __init__(self, stream: io.BufferedIOBase, md5):
        super().__init__()
        self._stream, self._md5 = stream, md5

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        size = self._stream.readinto(buffer)
        self._md5.update(memoryview(buffer)[:size])
        return size
