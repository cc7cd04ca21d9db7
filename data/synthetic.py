"""Drawn faces in FER2013's CSV format: what the pipeline runs on where Kaggle's CSV is missing.

A score on these faces says that the pipeline works and nothing about people.

Command: `muwnet-fer data synthesize`.
"""

import collections
import os
import pathlib

import numpy as np

from muwnet_fer.data import atomic_file, drawn_face, fer2013

# One row in ten goes to each of the two test splits, and every class must stand in both.
ROWS_PER_TEST_ROW = 10
MINIMUM_ROWS = ROWS_PER_TEST_ROW * len(fer2013.EMOTIONS)

PlannedRow = collections.namedtuple("PlannedRow", ("emotion", "usage", "nuisance"))


def plan_rows(rows: int, seed: int) -> list[PlannedRow]:
    """Returns what each row of the CSV is to show.

    Usages stand in Kaggle's order; in each, the classes are shuffled and balanced but for
    rounding. Raises ValueError for fewer than MINIMUM_ROWS rows or a seed below 0.
    """
    if rows < MINIMUM_ROWS:
        reason = "for every class in every split"
        raise ValueError(f"expected at least {MINIMUM_ROWS} rows, {reason}, got {rows}")
    if seed < 0:
        raise ValueError(f"expected a seed of at least 0, got {seed}")
    random = np.random.default_rng([seed, 0])
    nuisances = [drawn_face.sample_nuisance(random) for _ in range(rows)]
    training, public_test, private_test = fer2013.SPLIT_OF_USAGE
    tests = rows // ROWS_PER_TEST_ROW
    emotions, usages = [], []
    for usage, count in ((training, rows - 2 * tests), (public_test, tests), (private_test, tests)):
        emotions += random.permutation(np.arange(count) % len(fer2013.EMOTIONS)).tolist()
        usages += [usage] * count
    return [PlannedRow(*row) for row in zip(emotions, usages, nuisances, strict=True)]


def synthesize(path: str | os.PathLike, rows: int, seed: int) -> None:
    """Writes a CSV of drawn faces; the same rows and seed give the same bytes.

    Creates the folder if need be. The file takes its name only when complete, so that an error
    leaves an earlier one as it was. Raises ValueError like plan_rows.
    """
    plan = plan_rows(rows, seed)
    random = np.random.default_rng([seed, 1])
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        atomic_file.replace(path) as unfinished,
        open(unfinished, "w", encoding="ascii", newline="\n") as file,
    ):
        file.write(",".join(fer2013.COLUMNS) + "\n")
        for emotion, usage, nuisance in plan:
            pixels = " ".join(
                map(str, drawn_face.draw_face(emotion, nuisance, random).ravel().tolist())
            )
            file.write(f"{emotion},{pixels},{usage}\n")
