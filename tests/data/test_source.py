"""source: both of Kaggle's layouts, in every form; every bad row is named, none is lost."""

import gzip
import hashlib
import io
import pathlib
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from muwnet_fer.data import csv_file, fer2013, rows, source
from muwnet_fer.tests.data import csv_text
from muwnet_fer.tests.data.csv_text import GOOD_ROWS, HEADER, PIXELS


def check(*paths, max_bad_rows=0) -> source.Check:
    return source.check(source.find(paths), max_bad_rows)


def read(*paths) -> list[rows.Row]:
    return list(source.read_rows(source.find(paths)))


def test_rows_are_read_in_order_with_number_label_split_and_pixels(tmp_path):
    image = np.arange(fer2013.PIXELS, dtype=np.int64) % 256
    first = f"4,{' '.join(map(str, image))},PrivateTest"
    found = read(csv_text.write(tmp_path / "a.csv", [first, *GOOD_ROWS]))
    assert [(r.number, r.emotion, r.split) for r in found] == [
        (0, 4, "private_test"),
        (1, 0, "train"),
        (2, 3, "public_test"),
        (3, 6, "private_test"),
    ]
    assert found[0].image.dtype == np.uint8
    np.testing.assert_array_equal(found[0].image.ravel(), image)


def test_blank_lines_are_no_rows(tmp_path):
    path = csv_text.write(tmp_path / "a.csv", [GOOD_ROWS[0], "", *GOOD_ROWS[1:], "", ""])
    assert [row.number for row in read(path)] == [0, 1, 2]
    check(path)


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_other_systems_line_ends_are_line_ends(tmp_path, line_end):
    path = tmp_path / "a.csv"
    path.write_bytes(line_end.join([HEADER, *GOOD_ROWS]).encode())
    assert check(path).identity.row_counts == dict.fromkeys(fer2013.SPLITS, 1)


def test_byte_order_mark_and_quotes_are_no_part_of_a_field(tmp_path):
    quoted = [f'"{row.split(",")[0]}","{PIXELS}",{row.split(",")[2]}' for row in GOOD_ROWS]
    path = csv_text.write(tmp_path / "a.csv", quoted, header="\ufeff" + HEADER)
    assert [row.emotion for row in read(path)] == [0, 3, 6]


def test_icml_layout_reads_the_same(tmp_path):
    icml_rows = [f"0,Training,{PIXELS}", f"3,PublicTest,{PIXELS}", f"6,PrivateTest,{PIXELS}"]
    icml = csv_text.write(tmp_path / "icml.csv", icml_rows, header="emotion, Usage, pixels")
    plain = csv_text.write(tmp_path / "plain.csv", GOOD_ROWS)
    for ours, theirs in zip(read(icml), read(plain), strict=True):
        assert (ours.number, ours.emotion, ours.split) == (
            theirs.number,
            theirs.emotion,
            theirs.split,
        )
        np.testing.assert_array_equal(ours.image, theirs.image)


# === Bad rows ===


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"7,{PIXELS},Training", "expected emotion from 0 to 6, got '7'"),
        (f"-1,{PIXELS},Training", "expected emotion from 0 to 6, got '-1'"),
        (f"happy,{PIXELS},Training", "expected emotion from 0 to 6, got 'happy'"),
        (f"0,{PIXELS},Test", "got 'Test'"),
        (f"0,{PIXELS} 7,Training", "expected 2304 pixels, got 2305"),
        (f"0,{PIXELS[:-2]},Training", "expected 2304 pixels, got 2303"),
        (f"0,{' '.join(['7'] * 224 * 224)},Training", "expected 2304 pixels, got 50176"),
        (f"0,{PIXELS[:-1]}256,Training", "pixel 2303: expected a whole number from 0 to 255"),
        (f"0,{PIXELS[:-1]}x,Training", "got 'x'"),
        (f"0,-1{PIXELS[1:]},Training", "pixel 0: expected"),
        (f"0,{PIXELS[:500]}", "expected 3 fields, got 2"),
        (f'0,"{PIXELS},Training', "not a CSV row: unexpected end of data"),
    ],
)
def test_bad_row_is_named(tmp_path, row, fault):
    path = csv_text.write(tmp_path / "bad.csv", [GOOD_ROWS[0], row, *GOOD_ROWS[1:]])
    with pytest.raises(rows.MalformedDataError) as raised:
        check(path)
    assert "1 bad rows" in str(raised.value)
    assert f"{path} row 1: " in str(raised.value)
    assert fault in str(raised.value)
    assert [row.number for row in read(path)] == [0, 2, 3]
    (found,) = check(path, max_bad_rows=1).faults.first
    assert (found.file, found.row, found.raw) == (path, 1, row)


def test_first_ten_faults_and_the_count_of_all(tmp_path):
    path = csv_text.write(tmp_path / "bad.csv", [*GOOD_ROWS, *[f"9,{PIXELS},Training"] * 13])
    for allowed in (0, 12):
        with pytest.raises(rows.MalformedDataError) as raised:
            check(path, max_bad_rows=allowed)
        message = str(raised.value)
        assert "13 bad rows" in message
        assert message.count(" row ") == 10
        assert "row 12: " in message
        assert "row 13: " not in message
        assert message.endswith("and 3 more")
    assert "expected at most 12" in message


def test_rows_set_aside_are_counted_apart(tmp_path):
    path = csv_text.write(tmp_path / "bad.csv", [*GOOD_ROWS, f"9,{PIXELS},Training"])
    identity = check(path, max_bad_rows=1).identity
    assert identity.row_counts == dict.fromkeys(fer2013.SPLITS, 1)
    assert identity.bad_rows == 1


def test_undecodable_bytes_are_a_fault_of_their_row_and_kept(tmp_path):
    path = csv_text.write(tmp_path / "bad.csv", GOOD_ROWS)
    path.write_bytes(path.read_bytes().replace(b"3,7 7", b"3,7 \xff\xfe7", 1))
    with pytest.raises(rows.MalformedDataError, match=r"row 1: pixel 1: .* got '\\udcff\\udcfe7'"):
        check(path)
    with pytest.raises(rows.MalformedDataError, match="got none of PublicTest"):
        check(path, max_bad_rows=1)


def test_truncated_last_line_is_called_so(tmp_path):
    path = csv_text.write(tmp_path / "cut.csv", GOOD_ROWS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(rows.MalformedDataError, match="row 2: expected 3 fields, got 2; the file"):
        check(path)
    # A whole row without a line end is none of that.
    path.write_text("\n".join([HEADER, *GOOD_ROWS]))
    check(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "missing emotion, pixels, Usage, got ''"),
        (b"emotion,pixels\n0,7 7\n", "missing Usage, got 'emotion, pixels'"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "missing emotion, pixels, Usage"),
        (b'emotion,"pixels,Usage\n', "missing emotion, pixels, Usage"),
        (b"emotion,emotion,pixels,Usage\n", "expected each column once .* got emotion again"),
        (HEADER.encode() + b"\n" + b"0" * 2**21, "line 2 is longer: not FER2013's CSV"),
        (b"0" * 2**21, "line 1 is longer: not FER2013's CSV"),
        (HEADER.encode() + b"\n", "got none of Training, PublicTest, PrivateTest"),
    ],
)
def test_what_is_not_the_csv_at_all_is_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(rows.MalformedDataError, match=message) as raised:
        check(path, max_bad_rows=100)
    assert str(path) in str(raised.value)


def test_a_split_without_rows_is_named(tmp_path):
    with pytest.raises(rows.MalformedDataError, match="got none of PrivateTest"):
        check(csv_text.write(tmp_path / "a.csv", GOOD_ROWS[:2]))


def test_check_returns_the_digests_of_train_alone(tmp_path):
    other = " ".join(["8"] * fer2013.PIXELS)
    path = csv_text.write(tmp_path / "a.csv", [*GOOD_ROWS, f"0,{other},PublicTest"])
    (train, _, _, public) = read(path)
    digests = check(path).train_digests
    assert rows.digest(train.image) in digests
    assert rows.digest(public.image) not in digests
    assert len(digests) == 1


# === Identity ===


def test_identity_is_the_content(tmp_path):
    path = csv_text.write(tmp_path / "a.csv", [*GOOD_ROWS, GOOD_ROWS[0]])
    identity = check(path).identity
    assert identity.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert identity.md5 == source.compute_md5(identity.source)
    assert identity.row_counts == {"train": 2, "public_test": 1, "private_test": 1}
    assert identity.kaggle_name is None


def test_rows_are_counted_by_the_usage_column_alone(tmp_path):
    noted = [f"{row},was Training" for row in GOOD_ROWS]
    path = csv_text.write(tmp_path / "a.csv", noted, header=HEADER + ",note")
    assert check(path).identity.row_counts == dict.fromkeys(fer2013.SPLITS, 1)


@pytest.mark.real_data
def test_kaggles_files_are_known(fer2013_csv, tmp_path):
    """icml_face_data.csv is fer2013.csv with its columns in another order."""
    icml = tmp_path / "icml.csv"
    with open(fer2013_csv) as lines, open(icml, "w") as target:
        next(lines)
        target.write("emotion, Usage, pixels\n")
        for line in lines:
            emotion, pixels, usage = line.rstrip("\n").split(",")
            target.write(f"{emotion},{usage},{pixels}\n")
    for path, name in ((fer2013_csv, "fer2013.csv"), (icml, "icml_face_data.csv")):
        identity = check(path).identity
        assert identity.kaggle_name == name
        assert identity.row_counts == {"train": 28709, "public_test": 3589, "private_test": 3589}


# === Forms ===


def pack_gz(content: bytes, path: pathlib.Path) -> None:
    path.write_bytes(gzip.compress(content))


def pack_zip(content: bytes, path: pathlib.Path) -> None:
    """As Kaggle's: other CSVs beside the one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test.csv", "pixels\n7 7\n")
        archive.writestr("train.csv", "emotion,pixels\n0,7 7\n")
        archive.writestr("icml_face_data.csv", content)


def pack_tar_gz(content: bytes, path: pathlib.Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, member in (
            ("fer2013/README", b"emotion,pixels,Usage"),
            ("fer2013/a.csv", content),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))


PACKERS = [pack_gz, pack_zip, pack_tar_gz]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", ["packed", "packed.csv"])
def test_archives_hold_the_same_data_whatever_their_name(tmp_path, small_csv, pack, name):
    pack(small_csv.read_bytes(), tmp_path / name)
    packed, plain = check(tmp_path / name), check(small_csv)
    assert packed.identity.md5 == plain.identity.md5 == source.compute_md5(packed.identity.source)
    assert packed.identity.row_counts == plain.identity.row_counts
    assert packed.train_digests == plain.train_digests


@pytest.mark.parametrize("pack", PACKERS)
def test_damaged_archives_are_named(tmp_path, small_csv, pack):
    path = tmp_path / "packed"
    pack(small_csv.read_bytes(), path)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(rows.MalformedDataError, match="packed: expected a whole archive, got: "):
        check(path)
    with pytest.raises(rows.MalformedDataError, match="packed: expected a whole archive, got: "):
        source.compute_md5(source.find([path]))


@pytest.mark.parametrize("pack", [pack_zip, pack_tar_gz])
def test_archive_without_the_csv_says_what_it_holds(tmp_path, pack):
    pack(b"a,b\n1,2\n", tmp_path / "packed")
    with pytest.raises(rows.MalformedDataError, match="expected one CSV with the columns emotion"):
        check(tmp_path / "packed")


def test_archive_with_two_csvs_is_not_guessed_at(tmp_path, small_csv):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(small_csv, "one.csv")
        archive.write(small_csv, "two.csv")
    with pytest.raises(rows.MalformedDataError, match="got one.csv, two.csv; unpack it"):
        check(tmp_path / "a.zip")


def test_nothing_is_extracted_wherever_a_member_points(tmp_path, small_csv):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(small_csv, "../../evil.csv")
    check(path)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "in", path]


def test_methods_that_are_not_read_are_named(tmp_path, small_csv):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(small_csv, "a.csv")
    with pytest.raises(rows.MalformedDataError, match="stored or deflated, got 'a.csv'"):
        check(path)


def test_headers_of_a_tar_are_bounded(tmp_path):
    """A GNU long name of 100 MB: `tarfile` would read it whole."""
    path = tmp_path / "a.tar.gz"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10**8
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(100):
            file.write(b"a" * 10**6)
    tracemalloc.start()
    with pytest.raises(rows.MalformedDataError, match="headers of at most 1,048,576 bytes"):
        check(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_members_of_a_tar_are_bounded(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(1001):
            archive.addfile(tarfile.TarInfo(f"{number}.txt"))
    with pytest.raises(rows.MalformedDataError, match="at most 1,000 members"):
        check(path)


def test_a_bomb_of_one_endless_line_is_refused_at_once(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(HEADER.encode() + b"\n")
        for _ in range(200):
            file.write(bytes(10**6))
    with pytest.raises(rows.MalformedDataError, match="line 2 is longer"):
        check(path)


def split_in_shards(path: pathlib.Path, folder: pathlib.Path, shards: int) -> list[pathlib.Path]:
    folder.mkdir()
    header, *lines = path.read_text().splitlines()
    names = [folder / f"part-{number}.csv" for number in range(shards)]
    size = -(-len(lines) // shards)
    for number, name in enumerate(names):
        csv_text.write(name, lines[number * size : (number + 1) * size], header)
    return names


def test_shards_are_one_data_set(tmp_path, small_csv):
    shards = split_in_shards(small_csv, tmp_path / "shards", 3)
    whole = read(small_csv)
    for named in (shards, [tmp_path / "shards"]):
        parts = read(*named)
        assert [(row.number, row.emotion, row.split) for row in parts] == [
            (row.number, row.emotion, row.split) for row in whole
        ]
        assert all((a.image == b.image).all() for a, b in zip(parts, whole, strict=True))
    assert check(*shards).identity.md5 == check(tmp_path / "shards").identity.md5


def test_a_fault_names_its_shard_and_the_row_there(tmp_path, small_csv):
    shards = split_in_shards(small_csv, tmp_path / "shards", 3)
    lines = shards[1].read_text().splitlines()
    lines[5] = "9" + lines[5][1:]
    csv_text.write(shards[1], lines[1:])
    (fault,) = check(*shards, max_bad_rows=1).faults.first
    assert (fault.file, fault.row) == (shards[1], 4)
    # The rows behind it keep their numbers.
    assert read(*shards)[-1].number == 209


def test_what_is_named_twice_or_lies_deeper_is_no_part_of_the_shards(tmp_path, small_csv):
    shards = split_in_shards(small_csv, tmp_path / "shards", 2)
    with pytest.raises(ValueError, match="expected each file once, got "):
        source.find([*shards, shards[0]])
    (tmp_path / "shards" / "2024").mkdir()
    with pytest.raises(ValueError, match="expected files only in a folder of CSVs, got .*2024"):
        source.find([tmp_path / "shards"])


def test_source_is_named_by_what_was_asked_for(tmp_path, small_csv):
    shards = split_in_shards(small_csv, tmp_path / "shards", 1)
    assert source.find([tmp_path / "shards"]).name == "shards"  # however many are in it
    assert source.find(shards).name == "part-0.csv"
    assert source.find([*shards, small_csv]).name == "shards"


def test_memory_does_not_grow_with_bad_rows(tmp_path):
    """Ten lines of text are kept, not each that is bad."""
    path = csv_text.write(tmp_path / "bad.csv", [f"9,{PIXELS}{' ' * 100_000},Training"] * 500)
    tracemalloc.start()
    with pytest.raises(rows.MalformedDataError, match="500 bad rows"):
        check(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("make", "fraction", "message"),
    [
        (lambda folder: [folder / "nowhere"], None, "expected a file or folder at .*nowhere"),
        (lambda folder: [folder], None, "got none"),
        (lambda folder: [csv_text.write(folder / "a.csv", GOOD_ROWS)], 0.5, "no private fraction"),
    ],
)
def test_paths_that_name_no_data_are_refused(tmp_path, make, fraction, message):
    with pytest.raises(ValueError, match=message):
        source.find(make(tmp_path), fraction)


def test_parse_reads_no_further_than_asked(tmp_path, small_csv):
    """Rows come one by one: memory does not grow with the file."""
    stream = io.BytesIO(small_csv.read_bytes())
    parsed = csv_file.parse(stream, small_csv)
    next(parsed)
    assert stream.tell() < len(stream.getvalue()) / 2
