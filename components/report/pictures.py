"""Faces as pictures within a page: data: URIs, for a page stands alone."""

import base64
from collections.abc import Sequence

import cv2
import markupsafe
import numpy as np

from muwnet_fer.data import fer2013

_GAP = 2  # pixels between the faces of a sheet
_PAPER = 255


def show(
    faces: Sequence[np.ndarray], captions: Sequence[str], alternative: str
) -> markupsafe.Markup:
    """Returns a list of faces with what is said of each below it.

    Args:
      faces: uint8 [48, 48] each.
      captions: one a face; lines end with "\\n".
      alternative: what each face is, in front of its caption, for those who do not see it.
    """
    items = []
    for face, caption in zip(faces, captions, strict=True):
        lines = markupsafe.Markup("<br>").join(caption.split("\n"))
        items.append(
            markupsafe.Markup(
                '<li><figure><img class="face" src="{}" width="96" height="96" alt="{}">'
                "<figcaption>{}</figcaption></figure></li>"
            ).format(_encode(face), f"{alternative}: {caption}".replace("\n", ", "), lines)
        )
    return markupsafe.Markup('<ul class="faces">{}</ul>').format(markupsafe.Markup("").join(items))


def show_sheet(faces: Sequence[np.ndarray], columns: int, alternative: str) -> markupsafe.Markup:
    """Returns faces, uint8 [48, 48] each, as one picture, row by row."""
    cell = fer2013.IMAGE_SIZE + _GAP
    height, width = -(-len(faces) // columns) * cell - _GAP, columns * cell - _GAP
    sheet = np.full((height, width), _PAPER, np.uint8)
    for number, face in enumerate(faces):
        row, column = divmod(number, columns)
        y, x = row * cell, column * cell
        sheet[y : y + fer2013.IMAGE_SIZE, x : x + fer2013.IMAGE_SIZE] = face
    return markupsafe.Markup('<img class="sheet" src="{}" width="{}" height="{}" alt="{}">').format(
        _encode(sheet), width, height, alternative
    )


def _encode(image: np.ndarray) -> str:
    _, png = cv2.imencode(".png", image)
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
