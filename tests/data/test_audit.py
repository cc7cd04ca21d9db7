"""`data check`: counted by hand on small data, and FER2013's own figures on the real."""

import json

import pytest

from muwnet_fer.data import audit, fer2013, quarantine, source
from muwnet_fer.tests import commands
from muwnet_fer.tests.data import csv_text
from muwnet_fer.tests.data.csv_text import GOOD_ROWS


def make_row(emotion: int, level: int, usage: str, constant: bool = False) -> str:
    pixels = [str(level)] * fer2013.PIXELS
    if not constant:
        pixels[0] = "255"
    return f"{emotion},{' '.join(pixels)},{usage}"


ROWS = [
    make_row(0, 1, "Training"),
    make_row(0, 1, "Training"),  # within a split
    make_row(3, 2, "Training"),
    make_row(3, 2, "PublicTest"),  # across splits
    make_row(4, 3, "PublicTest"),
    make_row(5, 3, "PrivateTest"),  # across splits, with another label
    make_row(5, 3, "PrivateTest"),  # and within
    make_row(6, 4, "PrivateTest", constant=True),
    make_row(6, 5, "PrivateTest"),
]


def run_audit(path) -> audit.Audit:
    return audit.audit(source.find([path]))


def test_figures_of_a_small_file(tmp_path):
    found = run_audit(csv_text.write(tmp_path / "a.csv", [*ROWS, "9,7,Training"]))
    assert found.counts == {
        "train": [2, 0, 0, 1, 0, 0, 0],
        "public_test": [0, 0, 0, 1, 1, 0, 0],
        "private_test": [0, 0, 0, 0, 0, 2, 2],
    }
    assert found.distinct_images == 5
    assert (found.duplicate_groups, found.duplicate_rows) == (3, 7)
    assert (found.groups_within_split, found.groups_across_splits) == (2, 2)
    assert (found.conflicting_groups, found.conflicting_rows) == (1, 3)
    assert found.constant_rows == [7]
    assert [fault.row for fault in found.faults.first] == [9]
    assert found.identity.row_counts == {"train": 3, "public_test": 2, "private_test": 4}


@pytest.mark.real_data
def test_fer2013s_own_figures(fer2013_csv, tmp_path):
    command = commands.run_command("muwnet-fer", "data", "check", fer2013_csv, cwd=tmp_path)
    assert command.exit_code == 0, command.output
    lines = [" ".join(line.split()) for line in command.output.splitlines()]
    for line in (
        "MD5 f8428a1edbd21e88f42c73edd2a14f95: Kaggle's own fer2013.csv",
        "train 3,995 436 4,097 7,215 4,830 3,171 4,965 28,709",
        "public_test 467 56 496 895 653 415 607 3,589",
        "private_test 491 55 528 879 594 416 626 3,589",
        "distinct images 34,034",
        "duplicate groups 1,516 over 3,369 rows",
        "across splits 557 groups",
        "conflicting labels 57 groups (160 rows)",
        "constant images 12 (rows 6458 7629 10423 11286 13148 13402 13988 15894 22198 22927 "
        "28601 30002)",
        "bad rows 0",
    ):
        assert line in lines


def test_bad_rows_are_listed_and_exit_with_1(tmp_path):
    path = csv_text.write(tmp_path / "a.csv", [*GOOD_ROWS, "9,7,Training"])
    command = commands.run_command("muwnet-fer", "data", "check", path, cwd=tmp_path)
    assert command.exit_code == 1
    assert "bad rows             1\n" in command.output
    assert f"{path} row 3: expected emotion from 0 to 6, got '9'" in command.output
    assert "no Kaggle file" in command.output


@pytest.mark.parametrize(
    ("content", "arguments", "exit_code", "message"),
    [
        ("", (), 1, "Error: a.csv: expected the columns"),
        ("emotion,pixels,Usage\n", (), 1, "splits without rows  train, public_test, private_test"),
        ("", ("nowhere.csv",), 2, "nowhere.csv' does not exist"),
        ("", ("--private-fraction", "0.5"), 2, "expected no private fraction"),
    ],
)
def test_what_is_no_such_data(tmp_path, content, arguments, exit_code, message):
    (tmp_path / "a.csv").write_text(content)
    command = commands.run_command("muwnet-fer", "data", "check", "a.csv", *arguments, cwd=tmp_path)
    assert command.exit_code == exit_code
    assert message in command.output
    assert "Traceback" not in command.output


def test_quarantine_keeps_file_row_fault_and_raw_text(tmp_path):
    path = csv_text.write(tmp_path / "a.csv", [*GOOD_ROWS, "9,7,Training"])
    path.write_bytes(path.read_bytes().replace(b"9,7", b"9,\xff"))
    faults = source.check(source.find([path]), max_bad_rows=1).faults.first
    quarantine.write(faults, tmp_path)
    (line,) = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry == {
        "file": str(path),
        "row": 3,
        "fault": "expected emotion from 0 to 6, got '9'",
        "raw": "9,\udcff,Training",
    }
    assert entry["raw"].encode(errors="surrogateescape") == b"9,\xff,Training"
