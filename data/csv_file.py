"""Parses FER2013's CSV, in Kaggle's `fer2013.csv` and `icml_face_data.csv` layouts.

A row is a line: none of FER2013's fields holds a line break, and a stray quote then spoils its own
row alone.
"""

import csv
import io
import pathlib
from collections.abc import Iterator

import numpy as np

from muwnet_fer.data import fer2013, rows

# A face of 48x48 takes at most 9,300 characters, one of 224x224 some 200,000.
_LONGEST_LINE = 2**20
_GREY_LEVELS = {str(level): level for level in range(256)}
_LABELS = {str(label): label for label in range(len(fer2013.EMOTIONS))}


def parse(
    stream: io.BufferedIOBase, path: pathlib.Path, first_number: int = 0
) -> Iterator[rows.Row | rows.Fault]:
    """Yields a Row for each good row in file order, else its Fault.

    Args:
      stream: the decompressed CSV.
      path: of the file, for messages.
      first_number: number of the first row.

    Raises:
      MalformedDataError: where the columns are missing, or a line is longer than any row can be.
    """
    lines = _read_lines(stream, path)
    header = read_header(next(lines, ""))
    if missing := [name for name in fer2013.COLUMNS if name not in header]:
        raise rows.MalformedDataError(
            f"{path}: expected the columns {', '.join(fer2013.COLUMNS)} in the header, "
            f"missing {', '.join(missing)}, got {', '.join(header)[:200]!r}"
        )
    if repeated := [name for name in fer2013.COLUMNS if header.count(name) > 1]:
        raise rows.MalformedDataError(
            f"{path}: expected each column once in the header, got {', '.join(repeated)} again"
        )
    columns = [header.index(name) for name in fer2013.COLUMNS]
    number = -1
    for line in lines:
        if not line.strip():
            continue  # a blank line, as editors leave one at the end, is no row
        number += 1
        try:
            fields = _split_fields(line)
            if len(fields) != len(header):
                raise ValueError(f"expected {len(header)} fields, got {len(fields)}")
            emotion, pixels, usage = (fields[column].strip() for column in columns)
            label, image, split = _parse_fields(emotion, pixels, usage)
        except ValueError as error:
            ended = "" if line.endswith("\n") else "; the file ends within this line: truncated?"
            yield rows.Fault(path, number, f"{error}{ended}", line.rstrip("\n"))
        else:
            yield rows.Row(first_number + number, label, image, split)


def read_header(line: str) -> list[str]:
    """Returns the column names of a CSV's first line."""
    try:
        return [name.strip() for name in _split_fields(line)]
    except ValueError:
        return [line]  # no column's name


def _read_lines(stream: io.BufferedIOBase, path: pathlib.Path) -> Iterator[str]:
    """Yields lines, ended by "\\n" but for the last one of a file that does not end so."""
    # Undecodable bytes become lone surrogates, which no field accepts and JSON keeps.
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape") as text:
        number = 0
        while line := text.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith("\n"):
                raise rows.MalformedDataError(
                    f"{path}: expected lines of at most {_LONGEST_LINE:,} characters, "
                    f"line {number} is longer: not FER2013's CSV"
                )
            yield line


def _split_fields(line: str) -> list[str]:
    line = line.rstrip("\n")
    if '"' not in line:
        return line.split(",")
    try:
        (fields,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise ValueError(f"not a CSV row: {error}") from error
    return fields


def _parse_fields(emotion: str, pixels: str, usage: str) -> tuple[int, np.ndarray, str]:
    """Returns label, image and split, or raises ValueError with what was expected."""
    if usage not in fer2013.SPLIT_OF_USAGE:
        raise ValueError(f"expected Usage in {tuple(fer2013.SPLIT_OF_USAGE)}, got {usage[:40]!r}")
    if emotion not in _LABELS:
        raise ValueError(f"expected emotion from 0 to {len(_LABELS) - 1}, got {emotion[:40]!r}")
    values = pixels.split()
    if len(values) != fer2013.PIXELS:
        raise ValueError(f"expected {fer2013.PIXELS} pixels, got {len(values)}")
    try:
        levels = bytes(map(_GREY_LEVELS.__getitem__, values))
    except KeyError as error:
        position = next(i for i, value in enumerate(values) if value not in _GREY_LEVELS)
        raise ValueError(
            f"pixel {position}: expected a whole number from 0 to 255 without leading zeros, "
            f"got {values[position][:40]!r}"
        ) from error
    image = np.frombuffer(levels, np.uint8).reshape(fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)
    return _LABELS[emotion], image, fer2013.SPLIT_OF_USAGE[usage]
