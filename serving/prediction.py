"""What a model says of a face. Shared by `client`, which asks a server, and `local_model`."""

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from muwnet_fer.data import fer2013

_SIDE = fer2013.IMAGE_SIZE


class PredictionError(RuntimeError):
    """The model, or the server that has it, gave no prediction."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The most likely emotion of a face, and the probability of each, in EMOTIONS' order."""

    label: str
    probabilities: dict[str, float]


def predict(
    images: Sequence[np.ndarray | bytes], run: Callable[[str, np.ndarray], np.ndarray]
) -> list[Prediction]:
    """Returns the predictions of pictures of one face each, in their order; none for none.

    Args:
      images: PNG or JPEG bytes, or uint8 arrays as `to_face` takes them.
      run: calls a signature: its name and its `image` (string [n] or uint8 [n, 48, 48]) ->
        `probabilities` float32 [n, 7]. Called at most twice.

    Raises:
      TypeError, ValueError: for an image that is neither.
      PredictionError: where `run` gives no such probabilities; and whatever `run` raises.
    """
    encoded = [at for at, image in enumerate(images) if isinstance(image, bytes)]
    pixels = [at for at, image in enumerate(images) if not isinstance(image, bytes)]
    faces = [to_face(images[at]) for at in pixels]  # refused before anything is sent
    probabilities = np.empty((len(images), len(fer2013.EMOTIONS)), np.float32)
    if encoded:
        strings = np.array([images[at] for at in encoded], object)
        probabilities[encoded] = _check(run("predict_images", strings), len(encoded))
    if pixels:
        probabilities[pixels] = _check(run("predict_faces", np.stack(faces)), len(pixels))
    return [_to_prediction(row) for row in probabilities.tolist()]


def to_face(image: np.ndarray) -> np.ndarray:
    """Returns uint8 [h, w] of grey or [h, w, 3] of blue, green and red as grey uint8 [48, 48].

    Raises:
      TypeError: for what is no array.
      ValueError: for another dtype or shape.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"expected bytes or a uint8 array as an image, got {type(image).__name__}")
    is_grey, is_color = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or image.size == 0 or not (is_grey or is_color):
        raise ValueError(
            f"expected uint8 [height, width] or [height, width, 3], got {image.dtype} "
            f"{list(image.shape)}"
        )
    if is_color:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # Areas where pixels are merged: as the model's own decoding, it skips none of them.
    is_larger = max(image.shape) > _SIDE
    interpolation = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
    return cv2.resize(image, (_SIDE, _SIDE), interpolation=interpolation)


def _check(probabilities: np.ndarray, count: int) -> np.ndarray:
    expected = (count, len(fer2013.EMOTIONS))
    if probabilities.dtype != np.float32 or probabilities.shape != expected:
        raise PredictionError(
            f"expected probabilities float32 {list(expected)}, got {probabilities.dtype} "
            f"{list(probabilities.shape)}"
        )
    return probabilities


def _to_prediction(row: list[float]) -> Prediction:
    probabilities = dict(zip(fer2013.EMOTIONS, row, strict=True))
    return Prediction(max(probabilities, key=probabilities.get), probabilities)
