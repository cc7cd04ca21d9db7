"""What reading FER2013 yields, whatever form it comes in: a Row, or the Fault of a bad one."""

import dataclasses
import hashlib
import pathlib

import numpy as np

_SHOWN_FAULTS = 10


class MalformedDataError(ValueError):
    """Data that does not hold FER2013's columns or rows; the message names file, row and fault."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One face: `number` counts the rows of all files from 0, `image` is uint8 [48, 48]."""

    number: int
    emotion: int
    image: np.ndarray
    split: str


@dataclasses.dataclass(frozen=True)
class Fault:
    """A bad row: `row` counts those of its file from 0, `raw` is its text, None for an image."""

    file: pathlib.Path
    row: int
    fault: str
    raw: str | None


def digest(image: np.ndarray) -> bytes:
    """Returns 16 bytes that stand for an image's exact pixels."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def is_constant(image: np.ndarray) -> bool:
    """Returns whether an image shows one grey level only."""
    return bool((image == image.flat[0]).all())


class Faults:
    """Counts bad rows and keeps the first of them: all may be bad, and each be long.

    Args:
      keep: how many to keep; ten at least, which are those that `describe` shows.
    """

    def __init__(self, keep: int = 0):
        self.count = 0
        self.first: list[Fault] = []
        self._keep = max(keep, _SHOWN_FAULTS)

    def add(self, fault: Fault) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.first) < self._keep:
            self.first.append(fault)

    def describe(self) -> str:
        """Returns the first ten, a line each, and how many more there are."""
        shown = self.first[:_SHOWN_FAULTS]
        lines = [f"  {fault.file} row {fault.row}: {fault.fault}" for fault in shown]
        if more := self.count - len(shown):
            lines.append(f"  and {more:,} more")
        return "\n".join(lines)
