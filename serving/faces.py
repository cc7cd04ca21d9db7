"""Finds the faces of a picture and cuts them out as FER2013's were."""

import dataclasses
import io
import pathlib
from typing import Protocol

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from muwnet_fer.serving import prediction

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 2**26  # 67 megapixels, 200 MB once decoded; Pillow itself warns from 89 on

# A face is searched for from this size on, in pixels: what is smaller than FER2013's has not the
# detail that the model knows ...
SMALLEST = 48
# ... and, in large pictures, from this share of the longer side on: the time stays bounded.
_SMALLEST_SHARE = 1 / 40
# By EXIF's orientation: what turns a picture upright (Exif 2.32, section 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """What was expected to be a picture is none that can be read."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A face's place: its upper left corner and its size, in pixels. It may reach over the edge."""

    x: int
    y: int
    width: int
    height: int


class Detector(Protocol):
    """Finds faces. Keeps working memory: one for each thread."""

    def detect(self, image: np.ndarray) -> list[Box]:
        """Returns the faces of a uint8 BGR [h, w, 3], from left to right."""


class HaarDetector:
    """OpenCV's cascade of Haar features for frontal faces, as the paper used.

    Of the three cascades that come with OpenCV, over factors 1.1 and 1.2 and 3, 5 and 8 neighbours,
    with and without equalised brightness, this choice alone found each face of two photographs and
    of 39 frames of a clip, and nothing else there nor in two photographs without a face.

    Args:
      smallest: side of the smallest face in pixels; by default 48, and more in large pictures. The
        time grows with the number of faces of this size that would fill the picture.
    """

    def __init__(self, smallest: int | None = None):
        self._smallest = smallest
        path = pathlib.Path(cv2.data.haarcascades, "haarcascade_frontalface_alt2.xml")
        self._cascade = cv2.CascadeClassifier(str(path))

    def detect(self, image: np.ndarray) -> list[Box]:
        """Returns the faces of a uint8 BGR [h, w, 3], from left to right."""
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
        side = self._smallest or max(SMALLEST, int(max(grey.shape) * _SMALLEST_SHARE))
        found = self._cascade.detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=5, minSize=(side, side)
        )
        return _sort([Box(*map(int, box)) for box in found])


class YuNetDetector:
    """YuNet, a small network that finds turned and partly hidden faces too.

    Args:
      file: its weights, `face_detection_yunet_*.onnx` of OpenCV's model zoo.

    Raises:
      ValueError: for a file that is no such network.
    """

    # It was trained on faces of some 10 to 300 pixels; larger pictures are scaled to this.
    _LONGER_SIDE = 640

    def __init__(self, file: str | pathlib.Path):
        try:
            self._network = cv2.FaceDetectorYN.create(str(file), "", (320, 320))
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another network fails here
        except cv2.error as error:
            raise ValueError(f"expected YuNet as ONNX, got {file}: {error.err}") from error

    def detect(self, image: np.ndarray) -> list[Box]:
        """Returns the faces of a uint8 BGR [h, w, 3], from left to right."""
        height, width = image.shape[:2]
        scale = min(1, self._LONGER_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self._network.setInputSize(size)
        _, found = self._network.detect(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        # Each row: x, y, width, height, five points of the face, score.
        boxes = [] if found is None else np.rint(found[:, :4] / scale).astype(int).tolist()
        return _sort([Box(*box) for box in boxes if min(box[2:]) > 0])


def _sort(boxes: list[Box]) -> list[Box]:
    return sorted(boxes, key=lambda box: (box.x, box.y))


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """Returns the square around a box's middle, as wide as its longer side, as grey uint8 [48, 48].

    There is no margin: over 1,500 of FER2013's faces, the Haar cascade's box has its middle in the
    picture's (median 0.50, 0.50) and 0.97 of its width.
    """
    side = max(box.width, box.height)
    left = box.x + (box.width - side) // 2
    top = box.y + (box.height - side) // 2
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    # Over the edge goes on what is at the edge.
    square = cv2.copyMakeBorder(
        inside,
        max(0, -top),
        max(0, top + side - height),
        max(0, -left),
        max(0, left + side - width),
        cv2.BORDER_REPLICATE,
    )
    return prediction.to_face(square)


def _turn_upright(image: Image.Image) -> Image.Image:
    """Returns a picture as its EXIF orientation says.

    Not by Pillow's own exif_transpose: it also writes the other tags anew, and fails at odd ones.
    """
    image.load()  # some formats have the tags behind the pixels
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def read_image(path: str | pathlib.Path) -> np.ndarray:
    """Returns a picture file as uint8 BGR [h, w, 3], turned as its EXIF data says.

    Raises:
      ImageError: for what is no picture, naming the file.
      OSError: for a file that cannot be read.
    """
    try:
        return decode_image(pathlib.Path(path).read_bytes())
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def decode_image(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns a JPEG, PNG, WebP, BMP or TIFF as uint8 BGR [h, w, 3], turned as its EXIF data says.

    Raises:
      ImageError: for other bytes, damaged ones, and more than `max_pixels`, before those are
        decoded.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        expected = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise ImageError(f"expected a picture ({expected}), got something else") from error
    if image.width * image.height > max_pixels:
        raise ImageError(f"expected at most {max_pixels} pixels, got {image.width}x{image.height}")
    try:
        upright = _turn_upright(image)
        if upright.mode.startswith("I;16"):  # Pillow would cut greys of 16 bits off at 255
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        return cv2.cvtColor(np.asarray(upright.convert("RGB")), cv2.COLOR_RGB2BGR)
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise ImageError(f"expected a whole {image.format}, got a damaged one: {error}") from error
