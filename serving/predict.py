"""`muwnet-fer predict`: the faces of photographs and what they feel, as a table or JSON lines."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
import tabulate

from muwnet_fer.data import atomic_file, fer2013
from muwnet_fer.serving import drawing, faces, photographs, prediction


class Model(Protocol):
    """EmotionClient or LocalModel."""

    def predict(self, images: Sequence[np.ndarray | bytes]) -> list[prediction.Prediction]: ...


@dataclasses.dataclass(frozen=True)
class Result:
    """What was found in a file; `error` where it could not be read or written."""

    path: pathlib.Path
    found: list[tuple[faces.Box, prediction.Prediction]] = dataclasses.field(default_factory=list)
    error: str | None = None

    @property
    def problem(self) -> str | None:
        """What is to be reported of the file."""
        return self.error or (None if self.found else f"{self.path}: no face found")


def predict(
    files: Iterable[photographs.Photograph],
    model: Model,
    detector: faces.Detector,
    copies: dict[pathlib.Path, pathlib.Path],
) -> Iterator[Result]:
    """Yields the Result of each photograph, and writes the copies that are planned.

    Raises:
      PredictionError: where the model gives no answer, which is no fault of a file's.
    """
    for photograph in files:
        path = photograph.path
        if photograph.error:
            yield Result(path, error=photograph.error)
            continue
        try:
            image = faces.read_image(path)
        except faces.ImageError as error:
            yield Result(path, error=str(error))
            continue
        except OSError as error:
            yield Result(path, error=f"{path}: expected a readable file, got {error.strerror}")
            continue
        boxes = detector.detect(image)
        predictions = model.predict([faces.crop(image, box) for box in boxes])
        found = list(zip(boxes, predictions, strict=True))
        error = _write_copy(image, found, copies[path]) if path in copies else None
        yield Result(path, found, error)


def _write_copy(image: np.ndarray, found, copy: pathlib.Path) -> str | None:
    """Draws into `image` and writes it, whole or not at all; returns what went wrong."""
    drawing.draw_faces(image, found)
    # By its name, as whoever opens it will expect; a name that says nothing gets a PNG.
    suffix = copy.suffix.lower() if copy.suffix.lower() in faces.SUFFIXES else ".png"
    is_encoded, content = cv2.imencode(suffix, image)
    if not is_encoded:  # each format has a largest side
        height, width = image.shape[:2]
        return f"{copy}: expected a size that {suffix} can hold, got {width}x{height}"
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.replace(copy) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        return f"{copy}: expected to write the annotated copy, got {error.strerror}"
    return None


def format_json(result: Result) -> str:
    """Returns a line of JSON: file, and faces (box, label, probabilities) or error, or both."""
    line = {"file": os.fspath(result.path)}
    if result.found or not result.error:
        line["faces"] = [
            {
                "box": dataclasses.asdict(box),
                "label": found.label,
                "probabilities": {
                    emotion: round(value, 6) for emotion, value in found.probabilities.items()
                },
            }
            for box, found in result.found
        ]
    if result.error:
        line["error"] = result.error
    return json.dumps(line)


def format_table(results: Iterable[Result]) -> str:
    """Returns a line for each face: file, box, label, and the probabilities in percent."""
    rows = [
        [
            str(result.path),
            f"{box.width}x{box.height}+{box.x}+{box.y}",
            found.label,
            *(f"{value:.0%}" for value in found.probabilities.values()),
        ]
        for result in results
        for box, found in result.found
    ]
    headers = ["file", "face", "emotion", *fer2013.EMOTIONS]
    alignment = ["left"] * 3 + ["right"] * len(fer2013.EMOTIONS)
    return tabulate.tabulate(rows, headers, colalign=alignment, disable_numparse=True)


def run(
    results: Iterable[Result],
    as_json: bool,
    write: Callable[[str], None],
    report: Callable[[str], None],
) -> int:
    """Writes the results, JSON as they come and a table at the end, and reports the problems.

    Returns the exit code: 0 where every file had a face, else 1, also where there is no file.

    Raises:
      PredictionError: from `results`; what came before it is written.
    """
    done: list[Result] = []
    try:
        for result in results:
            done.append(result)
            if result.problem:
                report(result.problem)
            if as_json:
                write(format_json(result))
    finally:
        if not as_json and any(result.found for result in done):
            write(format_table(done))
    return 1 if not done or any(result.problem for result in done) else 0
