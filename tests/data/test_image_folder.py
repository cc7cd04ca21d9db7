"""The folder form: real JPEGs and PNGs on disk; `test` is split by pixels, bad files are named."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from muwnet_fer.data import fer2013, image_folder, rows, source


def make_face(seed: int) -> np.ndarray:
    patches = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return np.kron(patches, np.ones((8, 8), np.uint8))


def write_faces(folder, test_faces=40):
    """Returns the folder: one face an emotion in train, as PNG, and many in test."""
    for label, emotion in enumerate(fer2013.EMOTIONS):
        for split in ("train", "test"):
            (folder / split / emotion).mkdir(parents=True)
        cv2.imwrite(str(folder / "train" / emotion / f"{label}.png"), make_face(label))
    for number in range(test_faces):
        path = folder / "test" / fer2013.EMOTIONS[number % 7] / f"{number:03}.png"
        cv2.imwrite(str(path), make_face(100 + number))
    return folder


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path / "faces")


def read(folder, fraction=0.5) -> list[rows.Row]:
    return list(source.read_rows(source.find([folder], fraction)))


def test_without_a_private_fraction_the_form_is_refused_with_the_reason(faces):
    with pytest.raises(ValueError, match="PublicTest and PrivateTest merged. Expected --private-f"):
        source.find([faces])
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="expected a private fraction between 0 and 1"):
            source.find([faces], fraction)


def test_train_keeps_label_and_pixels(faces):
    train = [row for row in read(faces) if row.split == "train"]
    assert sorted(row.emotion for row in train) == list(range(7))
    for row in train:
        np.testing.assert_array_equal(row.image, make_face(row.emotion))
        assert row.image.dtype == np.uint8


def test_test_is_split_by_the_fraction_and_only_there(faces):
    splits = {row.number: row.split for row in read(faces, 0.3)}
    assert len(splits) == 47
    private = [number for number, split in splits.items() if split == "private_test"]
    assert 4 <= len(private) <= 20  # 12 of 40 expected; six standard deviations
    more = {row.number for row in read(faces, 0.6) if row.split == "private_test"}
    assert set(private) < more


def test_duplicates_land_in_the_same_split(faces):
    for number in range(20):
        name = f"test/{fer2013.EMOTIONS[number % 7]}/{number:03}.png"
        (faces / "test" / "sad" / f"copy-{number}.png").write_bytes((faces / name).read_bytes())
    splits = {}
    for row in read(faces):
        splits.setdefault(rows.digest(row.image), set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == set(fer2013.SPLITS)


def test_jpegs_colour_and_names_of_other_copies_are_read(tmp_path):
    folder = tmp_path / "faces"
    for name in ("Train/Disgusted", "Train/fearful", "test/surprised"):
        (folder / name).mkdir(parents=True)
    face = Image.fromarray(make_face(1))
    face.save(folder / "Train/Disgusted/a.jpg", quality=95)
    face.convert("RGB").save(folder / "Train/fearful/b.PNG", format="PNG")
    face.save(folder / "test/surprised/c.jpeg")
    (folder / "Train" / ".DS_Store").write_bytes(b"not ours")
    (folder / "Train/Disgusted/.hidden").write_bytes(b"not ours")
    found = read(folder)
    assert sorted((row.emotion, row.split == "train") for row in found) == [
        (1, True),
        (2, True),
        (5, False),
    ]
    for row in found:
        assert np.abs(row.image.astype(int) - make_face(1)).mean() < 10


def test_identity_is_names_and_bytes(faces):
    check = source.check(source.find([faces], 0.5))
    assert check.identity.md5 == source.compute_md5(check.identity.source)
    assert sum(check.identity.row_counts.values()) == 47
    (faces / "test/sad/004.png").rename(faces / "test/sad/zzz.png")
    renamed = source.compute_md5(check.identity.source)
    assert renamed != check.identity.md5
    (faces / "test/sad/zzz.png").rename(faces / "test/sad/004.png")
    assert source.compute_md5(check.identity.source) == check.identity.md5
    cv2.imwrite(str(faces / "test/sad/004.png"), make_face(9))
    assert source.compute_md5(check.identity.source) not in (renamed, check.identity.md5)


def encode_png(width: int, height: int) -> bytes:
    """Returns a PNG whose header says this size and whose data is a thousandth of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(width * height // 1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def encode_16_bit() -> bytes:
    return cv2.imencode(".png", np.zeros((48, 48), np.uint16))[1].tobytes()


def encode_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", 48, 48) + bytes(20)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (lambda: cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1].tobytes(), "got 64x64"),
        (lambda: encode_png(40_000, 40_000), "could be decompression bomb"),
        (lambda: encode_png(15_000, 10_000), "expected 48x48 pixels, got 15000x10000"),
        (lambda: encode_png(48, 48), "expected a whole JPEG or PNG, got: "),
        (lambda: cv2.imencode(".jpg", make_face(0))[1].tobytes()[:300], "whole JPEG or PNG"),
        (encode_16_bit, "expected 8-bit grey or colour, got the mode I;16"),
        (encode_gif, "expected a JPEG or PNG, got something else"),
        (lambda: b"Thumbs", "expected a JPEG or PNG, got something else"),
        (lambda: b"", "got an empty one, a folder or a link"),
        (lambda: bytes(2**20 + 5), "expected at most 1,048,576 bytes"),
    ],
)
def test_bad_file_is_named_before_it_is_decoded(faces, content, fault):
    path = faces / "test" / "happy" / "bad.png"
    content = content()
    path.write_bytes(content)
    with pytest.raises(rows.MalformedDataError) as raised:
        source.check(source.find([faces], 0.5))
    assert "1 bad rows" in str(raised.value)
    assert str(path) in str(raised.value)
    assert fault in str(raised.value)
    check = source.check(source.find([faces], 0.5), max_bad_rows=1)
    assert [(found.file, found.raw) for found in check.faults.first] == [(path, None)]


def test_links_and_folders_among_the_images_are_not_followed(faces, tmp_path):
    outside = tmp_path / "outside.png"
    cv2.imwrite(str(outside), make_face(1))
    (faces / "test" / "sad" / "link.png").symlink_to(outside)
    (faces / "test" / "sad" / "folder.png").mkdir()
    os.mkfifo(faces / "test" / "sad" / "pipe.png")  # reading it would wait for ever
    check = source.check(source.find([faces], 0.5), max_bad_rows=3)
    assert {fault.file.name for fault in check.faults.first} == {
        "link.png",
        "folder.png",
        "pipe.png",
    }


@pytest.mark.parametrize("name", ["validation", "train/contempt", "test/notes.txt"])
def test_folders_of_another_name_are_refused(faces, name):
    (faces / name).mkdir()
    parent, found = os.path.split(name)
    with pytest.raises(rows.MalformedDataError, match=f"nothing else, got '{found}'"):
        read(faces)


def test_csvs_and_folders_are_not_mixed(faces, small_csv):
    with pytest.raises(ValueError, match="one folder of images, got several"):
        source.find([faces, small_csv], 0.5)
    assert image_folder.is_image_folder(faces)
    assert not image_folder.is_image_folder(small_csv.parent)
