"""Reads FER2013's CSV, in Kaggle's `fer2013.csv` and `icml_face_data.csv` layouts.

The one place that knows the file format: `identify` says which data a file holds, `check` finds
every malformed row, `read_rows` yields the good ones.
"""

import collections
import csv
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator

import numpy as np

from muwnet_fer.data import fer2013

_GREY_LEVELS = {str(level): level for level in range(256)}
_SHOWN_FAULTS = 10


class MalformedCsvError(ValueError):
    """A CSV that does not hold FER2013's columns or rows; the message names file, row and fault."""


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """Which data a file holds: its bytes' MD5, and rows by split (of rows that `check` passes)."""

    path: pathlib.Path
    md5: str
    rows: dict[str, int]

    @property
    def kaggle_name(self) -> str | None:
        """Name of the Kaggle file with these bytes, None for any other file."""
        return fer2013.KAGGLE_MD5.get(self.md5)


@dataclasses.dataclass(frozen=True)
class Row:
    """One face: `number` counts rows from 0 after the header, `image` is uint8 [48, 48]."""

    number: int
    emotion: int
    image: np.ndarray
    split: str


def identify(path: str | pathlib.Path) -> DataIdentity:
    """Returns the identity of a CSV; OSError where it cannot be read."""
    md5 = hashlib.md5(usedforsecurity=False)
    rows = dict.fromkeys(fer2013.SPLITS, 0)
    split_of_usage = {usage.encode(): split for usage, split in fer2013.SPLIT_OF_USAGE.items()}
    column = None
    with open(path, "rb") as file:
        for line in file:
            md5.update(line)
            fields = [field.strip(b' "\r\n') for field in line.split(b",")]
            if column is None:
                usage = fer2013.USAGE_COLUMN.encode()
                column = fields.index(usage) if usage in fields else len(fields)
            elif column < len(fields) and (split := split_of_usage.get(fields[column])):
                rows[split] += 1
    return DataIdentity(pathlib.Path(path), md5.hexdigest(), rows)


def digest(image: np.ndarray) -> bytes:
    """Returns 16 bytes that stand for an image's exact pixels."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def check(path: str | pathlib.Path) -> frozenset[bytes]:
    """Reads the whole file before anything is made of it; returns the train images' digests.

    Raises:
      MalformedCsvError: with the first ten malformed rows and the count of all.
    """
    rows = collections.Counter()
    train_digests = set()
    faults = []
    for parsed in _parse(path):
        if isinstance(parsed, str):
            faults.append(parsed)
            continue
        rows[parsed.split] += 1
        if parsed.split == fer2013.TRAIN:
            train_digests.add(digest(parsed.image))
    if faults:
        shown = "\n".join(f"  {fault}" for fault in faults[:_SHOWN_FAULTS])
        more = len(faults) - _SHOWN_FAULTS
        rest = f"\n  and {more} more" if more > 0 else ""
        raise MalformedCsvError(
            f"{path}: {len(faults)} malformed rows (row 0 follows the header)\n{shown}{rest}"
        )
    if empty := [usage for usage, split in fer2013.SPLIT_OF_USAGE.items() if not rows[split]]:
        raise MalformedCsvError(
            f"{path}: expected rows of every Usage, got none of {', '.join(empty)}"
        )
    return frozenset(train_digests)


def read_rows(path: str | pathlib.Path) -> Iterator[Row]:
    """Yields the rows in file order.

    Raises:
      MalformedCsvError: at the first malformed row.
    """
    for parsed in _parse(path):
        if isinstance(parsed, str):
            raise MalformedCsvError(f"{path}: {parsed}")
        yield parsed


def _parse(path: str | pathlib.Path) -> Iterator[Row | str]:
    """Yields a Row for each good row, else its fault as a sentence that names the row."""
    # Undecodable bytes become U+FFFD, which no field accepts: the row is named, not the file lost.
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise MalformedCsvError(f"{path}: not a CSV: {error}") from error
        if missing := [name for name in fer2013.COLUMNS if name not in header]:
            raise MalformedCsvError(
                f"{path}: expected the columns {', '.join(fer2013.COLUMNS)} in the header, "
                f"missing {', '.join(missing)}, got {', '.join(header)[:200]!r}"
            )
        columns = [header.index(name) for name in fer2013.COLUMNS]
        number = -1
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield f"row {number}: not a CSV row: {error}"
                continue
            if not fields:
                continue  # a blank line, as editors leave one at the end, is no row
            number += 1
            if len(fields) != len(header):
                yield f"row {number}: expected {len(header)} fields, got {len(fields)}"
                continue
            try:
                yield _parse_row(number, *(fields[column].strip() for column in columns))
            except ValueError as error:
                yield f"row {number}: {error}"


def _parse_row(number: int, emotion: str, pixels: str, usage: str) -> Row:
    if usage not in fer2013.SPLIT_OF_USAGE:
        raise ValueError(f"expected Usage in {tuple(fer2013.SPLIT_OF_USAGE)}, got {usage[:40]!r}")
    if emotion not in _GREY_LEVELS or int(emotion) >= len(fer2013.EMOTIONS):
        raise ValueError(
            f"expected emotion from 0 to {len(fer2013.EMOTIONS) - 1}, got {emotion[:40]!r}"
        )
    values = pixels.split()
    if len(values) != fer2013.PIXELS:
        raise ValueError(f"expected {fer2013.PIXELS} pixels, got {len(values)}")
    try:
        levels = bytes([_GREY_LEVELS[value] for value in values])
    except KeyError as error:
        position = next(i for i, value in enumerate(values) if value not in _GREY_LEVELS)
        raise ValueError(
            f"pixel {position}: expected a whole number from 0 to 255 without leading zeros, "
            f"got {values[position][:40]!r}"
        ) from error
    image = np.frombuffer(levels, np.uint8).reshape(fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)
    return Row(number, int(emotion), image, fer2013.SPLIT_OF_USAGE[usage])
