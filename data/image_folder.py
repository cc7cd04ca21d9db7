"""Parses FER2013 as folders of images: `train/<emotion>/*.jpg|png`, `test/<emotion>/...`.

In this form, which most people have, `test` is PublicTest and PrivateTest merged. It is split by a
hash of the pixels: the same image lands in the same split in every run, and so do its duplicates.
"""

import hashlib
import io
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from muwnet_fer.data import fer2013, rows

TRAIN_FOLDER, TEST_FOLDER = FOLDERS = ("train", "test")
# Names that copies of FER2013 give their folders.
_LABELS = {emotion: label for label, emotion in enumerate(fer2013.EMOTIONS)}
_LABELS |= {"disgusted": 1, "fearful": 2, "surprised": 5}
_LARGEST_FILE = 2**20  # bytes; an image of 48x48 takes some 2,000
_FORMATS = ("JPEG", "PNG")
_MODES = ("L", "RGB", "RGBA", "P")  # of 8 bits


def is_image_folder(path: pathlib.Path) -> bool:
    """Returns whether a folder has the form that this module reads."""
    return path.is_dir() and any(
        entry.name.lower() in FOLDERS and entry.is_dir() for entry in path.iterdir()
    )


def parse(
    folder: pathlib.Path, private_fraction: float, md5=None
) -> Iterator[rows.Row | rows.Fault]:
    """Yields a Row for each good image, sorted by path, else its Fault.

    Args:
      private_fraction: share of `test` that becomes private_test, between 0 and 1.
      md5: hash object that is fed every path and file.

    Raises:
      MalformedDataError: for folders of another name than splits and emotions.
    """
    for number, (path, in_train, label) in enumerate(_list_images(folder)):
        content = _read_bounded(path)
        if md5 is not None:
            md5.update(f"{path.relative_to(folder).as_posix()}\0".encode(errors="surrogateescape"))
            md5.update(hashlib.md5(content, usedforsecurity=False).digest())
        try:
            image = _decode(content)
        except ValueError as error:
            yield rows.Fault(path, number, str(error), None)
            continue
        split = fer2013.TRAIN if in_train else _choose_split(image, private_fraction)
        yield rows.Row(number, label, image, split)


def _list_images(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, bool, int]]:
    """Yields path, whether it is of train, and label; hidden files are the file system's own."""
    for split in sorted(_list_folders(folder, FOLDERS)):
        for emotion in sorted(_list_folders(split, _LABELS)):
            for entry in sorted(os.scandir(emotion), key=lambda entry: entry.name):
                if not entry.name.startswith("."):
                    path = pathlib.Path(entry.path)
                    yield path, split.name.lower() == TRAIN_FOLDER, _LABELS[emotion.name.lower()]


def _list_folders(folder: pathlib.Path, names) -> list[pathlib.Path]:
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in found:
        if not path.is_dir() or path.is_symlink() or path.name.lower() not in names:
            raise rows.MalformedDataError(
                f"{folder}: expected the folders {', '.join(names)} and nothing else, "
                f"got {path.name!r}"
            )
    return found


def _read_bounded(path: pathlib.Path) -> bytes:
    """Returns the file's first bytes, one more than are accepted; none of what is no file."""
    if path.is_symlink() or not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(_LARGEST_FILE + 1)


def _decode(content: bytes) -> np.ndarray:
    """Returns uint8 [48, 48]; ValueError for all else, from the header, before decoding."""
    if not content:
        raise ValueError("expected an image file, got an empty one, a folder or a link")
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"expected at most {_LARGEST_FILE:,} bytes, the file is larger")
    side = fer2013.IMAGE_SIZE
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.size != (side, side):
                raise ValueError(
                    f"expected {side}x{side} pixels, got {image.size[0]}x{image.size[1]}"
                )
            if image.mode not in _MODES:
                raise ValueError(f"expected 8-bit grey or colour, got the mode {image.mode}")
            return np.array(image.convert("L"))
    except UnidentifiedImageError:
        raise ValueError("expected a JPEG or PNG, got something else") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"expected a whole JPEG or PNG, got: {error}") from error


def _choose_split(image: np.ndarray, private_fraction: float) -> str:
    share = int.from_bytes(rows.digest(image)[:8], "big") / 2**64
    return fer2013.PRIVATE_TEST if share < private_fraction else fer2013.PUBLIC_TEST
