"""csv_file: both of Kaggle's layouts; every malformed row is named, none is lost."""

import hashlib

import numpy as np
import pytest

from muwnet_fer.data import csv_file, fer2013

PIXELS = " ".join(["7"] * fer2013.PIXELS)
GOOD_ROWS = [f"0,{PIXELS},Training", f"3,{PIXELS},PublicTest", f"6,{PIXELS},PrivateTest"]


def write(path, rows, header="emotion,pixels,Usage"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_rows_are_read_in_order_with_number_label_split_and_pixels(tmp_path):
    image = np.arange(fer2013.PIXELS, dtype=np.int64) % 256
    first = f"4,{' '.join(map(str, image))},PrivateTest"
    rows = list(csv_file.read_rows(write(tmp_path / "a.csv", [first, *GOOD_ROWS])))
    assert [(r.number, r.emotion, r.split) for r in rows] == [
        (0, 4, "private_test"),
        (1, 0, "train"),
        (2, 3, "public_test"),
        (3, 6, "private_test"),
    ]
    assert rows[0].image.dtype == np.uint8
    np.testing.assert_array_equal(rows[0].image.ravel(), image)


def test_blank_lines_are_no_rows(tmp_path):
    path = write(tmp_path / "a.csv", [GOOD_ROWS[0], "", *GOOD_ROWS[1:], "", ""])
    assert [row.number for row in csv_file.read_rows(path)] == [0, 1, 2]
    csv_file.check(path)


def test_icml_layout_reads_the_same(tmp_path):
    rows = [f"0,Training,{PIXELS}", f"3,PublicTest,{PIXELS}", f"6,PrivateTest,{PIXELS}"]
    icml = write(tmp_path / "icml.csv", rows, header="emotion, Usage, pixels")
    plain = write(tmp_path / "plain.csv", GOOD_ROWS)
    for ours, theirs in zip(csv_file.read_rows(icml), csv_file.read_rows(plain), strict=True):
        assert (ours.number, ours.emotion, ours.split) == (
            theirs.number,
            theirs.emotion,
            theirs.split,
        )
        np.testing.assert_array_equal(ours.image, theirs.image)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"7,{PIXELS},Training", "expected emotion from 0 to 6, got '7'"),
        (f"-1,{PIXELS},Training", "expected emotion from 0 to 6, got '-1'"),
        (f"happy,{PIXELS},Training", "expected emotion from 0 to 6, got 'happy'"),
        (f"0,{PIXELS},Test", "got 'Test'"),
        (f"0,{PIXELS} 7,Training", "expected 2304 pixels, got 2305"),
        (f"0,{PIXELS[:-2]},Training", "expected 2304 pixels, got 2303"),
        (f"0,{PIXELS[:-1]}256,Training", "pixel 2303: expected a whole number from 0 to 255"),
        (f"0,{PIXELS[:-1]}x,Training", "got 'x'"),
        (f"0,-1{PIXELS[1:]},Training", "pixel 0: expected"),
        (f"0,{PIXELS[:500]}", "expected 3 fields, got 2"),
    ],
)
def test_malformed_row_is_named(tmp_path, row, fault):
    path = write(tmp_path / "bad.csv", [GOOD_ROWS[0], row, *GOOD_ROWS[1:]])
    with pytest.raises(csv_file.MalformedCsvError) as raised:
        csv_file.check(path)
    assert str(path) in str(raised.value)
    assert "1 malformed rows" in str(raised.value)
    assert "row 1: " in str(raised.value)
    assert fault in str(raised.value)
    with pytest.raises(csv_file.MalformedCsvError, match="row 1: "):
        list(csv_file.read_rows(path))


def test_first_ten_faults_and_the_count_of_all(tmp_path):
    path = write(tmp_path / "bad.csv", [*GOOD_ROWS, *[f"9,{PIXELS},Training"] * 13])
    with pytest.raises(csv_file.MalformedCsvError) as raised:
        csv_file.check(path)
    message = str(raised.value)
    assert "13 malformed rows" in message
    assert message.count("  row ") == 10
    assert "row 12: " in message
    assert "row 13: " not in message
    assert message.endswith("and 3 more")


def test_undecodable_bytes_are_a_fault_of_their_row(tmp_path):
    path = write(tmp_path / "bad.csv", GOOD_ROWS)
    path.write_bytes(path.read_bytes().replace(b"3,7 7", b"3,7 \xff\xfe7", 1))
    with pytest.raises(csv_file.MalformedCsvError, match="row 1: pixel 1"):
        csv_file.check(path)


def test_missing_column_and_empty_file_are_named(tmp_path):
    path = write(tmp_path / "a.csv", [f"0,{PIXELS}"], header="emotion,pixels")
    with pytest.raises(csv_file.MalformedCsvError, match="missing Usage, got 'emotion, pixels'"):
        csv_file.check(path)
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(csv_file.MalformedCsvError, match="missing emotion, pixels, Usage, got ''"):
        csv_file.check(tmp_path / "empty.csv")


def test_a_split_without_rows_is_named(tmp_path):
    with pytest.raises(csv_file.MalformedCsvError, match="got none of PrivateTest"):
        csv_file.check(write(tmp_path / "a.csv", GOOD_ROWS[:2]))


def test_check_returns_the_digests_of_train_alone(tmp_path):
    other = " ".join(["8"] * fer2013.PIXELS)
    path = write(tmp_path / "a.csv", [*GOOD_ROWS, f"0,{other},PublicTest"])
    (train, _, _, public) = csv_file.read_rows(path)
    digests = csv_file.check(path)
    assert csv_file.digest(train.image) in digests
    assert csv_file.digest(public.image) not in digests
    assert len(digests) == 1


def test_identity_is_the_content(tmp_path):
    path = write(tmp_path / "a.csv", [*GOOD_ROWS, GOOD_ROWS[0]])
    identity = csv_file.identify(path)
    assert identity.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert identity.rows == {"train": 2, "public_test": 1, "private_test": 1}
    assert identity.kaggle_name is None


def test_identity_counts_the_usage_column_alone(tmp_path):
    rows = [f"{row},was Training" for row in GOOD_ROWS]
    path = write(tmp_path / "a.csv", rows, header="emotion,pixels,Usage,note")
    assert csv_file.identify(path).rows == {"train": 1, "public_test": 1, "private_test": 1}


@pytest.mark.real_data
def test_kaggles_files_are_known(fer2013_csv, tmp_path):
    """icml_face_data.csv is fer2013.csv with its columns in another order."""
    icml = tmp_path / "icml.csv"
    with open(fer2013_csv) as source, open(icml, "w") as target:
        next(source)
        target.write("emotion, Usage, pixels\n")
        for line in source:
            emotion, pixels, usage = line.rstrip("\n").split(",")
            target.write(f"{emotion},{usage},{pixels}\n")
    for path, name in ((fer2013_csv, "fer2013.csv"), (icml, "icml_face_data.csv")):
        identity = csv_file.identify(path)
        assert identity.kaggle_name == name
        assert identity.rows == {"train": 28709, "public_test": 3589, "private_test": 3589}
