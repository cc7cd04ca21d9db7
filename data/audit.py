"""What there is to know about data before it is trained on: `muwnet-fer data check`."""

import collections
import dataclasses
import hashlib

import tabulate

from muwnet_fer.data import fer2013, rows
from muwnet_fer.data import source as data_source

_SHOWN_ROWS = 20


@dataclasses.dataclass(frozen=True)
class Audit:
    """Counts of the good rows, and the bad ones.

    A duplicate group is all rows with exactly the same pixels, where there are several.
    """

    identity: data_source.DataIdentity
    faults: rows.Faults
    counts: dict[str, list[int]]  # by split: rows of each emotion
    distinct_images: int
    duplicate_groups: int
    duplicate_rows: int
    groups_within_split: int  # with two rows or more in one split
    groups_across_splits: int
    conflicting_groups: int  # whose rows have different labels
    conflicting_rows: int
    constant_rows: list[int]

    @property
    def empty_splits(self) -> list[str]:
        """Splits without a row: a run needs all three."""
        return [split for split, count in self.identity.row_counts.items() if not count]


def audit(source: data_source.Source) -> Audit:
    """Reads all of a source.

    Raises:
      MalformedDataError: where a file as a whole cannot be read as FER2013's.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    faults, constant_rows = rows.Faults(), []
    counts = {split: [0] * len(fer2013.EMOTIONS) for split in fer2013.SPLITS}
    same_pixels = collections.defaultdict(list)
    for parsed in data_source.parse(source, md5):
        if isinstance(parsed, rows.Fault):
            faults.add(parsed)
            continue
        counts[parsed.split][parsed.emotion] += 1
        same_pixels[rows.digest(parsed.image)].append((parsed.split, parsed.emotion))
        if rows.is_constant(parsed.image):
            constant_rows.append(parsed.number)
    groups = [group for group in same_pixels.values() if len(group) > 1]
    splits = [collections.Counter(split for split, _ in group) for group in groups]
    conflicting = [group for group in groups if len({emotion for _, emotion in group}) > 1]
    row_counts = {split: sum(of_split) for split, of_split in counts.items()}
    return Audit(
        data_source.DataIdentity(source, md5.hexdigest(), row_counts, faults.count),
        faults,
        counts,
        distinct_images=len(same_pixels),
        duplicate_groups=len(groups),
        duplicate_rows=sum(map(len, groups)),
        groups_within_split=sum(max(of_group.values()) > 1 for of_group in splits),
        groups_across_splits=sum(len(of_group) > 1 for of_group in splits),
        conflicting_groups=len(conflicting),
        conflicting_rows=sum(map(len, conflicting)),
        constant_rows=constant_rows,
    )


def format_audit(found: Audit) -> str:
    """Returns an audit as text for the terminal."""
    identity = found.identity
    totals = [sum(of_emotion) for of_emotion in zip(*found.counts.values(), strict=True)]
    table = tabulate.tabulate(
        [[split, *counts, sum(counts)] for split, counts in [*found.counts.items(), ("", totals)]],
        ("rows", *fer2013.EMOTIONS, "all"),
        intfmt=",",
    )
    kaggle = f"Kaggle's own {identity.kaggle_name}" if identity.kaggle_name else "no Kaggle file"
    lines = [
        *map(str, identity.source.paths),
        f"MD5 {identity.md5}: {kaggle}",
        "",
        table,
        "",
        f"distinct images      {found.distinct_images:,}",
        f"duplicate groups     {found.duplicate_groups:,} over {found.duplicate_rows:,} rows",
        f"  within a split     {found.groups_within_split:,} groups",
        f"  across splits      {found.groups_across_splits:,} groups",
        f"  conflicting labels {found.conflicting_groups:,} groups "
        f"({found.conflicting_rows:,} rows)",
        f"constant images      {_list_rows(found.constant_rows)}",
        f"bad rows             {found.faults.count:,}",
    ]
    if found.empty_splits:
        lines.append(f"splits without rows  {', '.join(found.empty_splits)}")
    if found.faults.count:
        lines.append(found.faults.describe())
    return "\n".join(lines)


def _list_rows(numbers: list[int]) -> str:
    if not numbers:
        return "0"
    listed = " ".join(map(str, numbers[:_SHOWN_ROWS]))
    more = f" and {len(numbers) - _SHOWN_ROWS:,} more" if len(numbers) > _SHOWN_ROWS else ""
    return f"{len(numbers):,} (rows {listed}{more})"
