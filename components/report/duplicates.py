"""Rows with exactly the same pixels, and rows of one grey level."""

import collections
import dataclasses

from muwnet_fer.components.report import examples as report_examples
from muwnet_fer.data import rows


@dataclasses.dataclass(frozen=True)
class Face:
    """Where a row's Example is: its split and its index there."""

    split: str
    index: int


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """`groups` of two rows or more with the same pixels, `conflicting` of different labels."""

    distinct_images: int
    groups: list[list[Face]]
    conflicting: list[list[Face]]
    constant: list[Face]


def find(splits: dict[str, report_examples.SplitExamples]) -> Duplicates:
    """Looks at every face of all splits."""
    same_pixels, constant = collections.defaultdict(list), []
    for split, examples in splits.items():
        for index in range(len(examples.rows)):
            image = examples.decode(index)
            face = Face(split, index)
            same_pixels[rows.digest(image)].append(face)
            if rows.is_constant(image):
                constant.append(face)
    groups = [group for group in same_pixels.values() if len(group) > 1]
    conflicting = [
        group
        for group in groups
        if len({int(splits[face.split].labels[face.index]) for face in group}) > 1
    ]
    return Duplicates(len(same_pixels), groups, conflicting, constant)
