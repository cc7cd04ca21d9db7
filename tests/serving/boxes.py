"""Boxes of faces that were looked at once, and how they are compared."""

import numpy as np

from muwnet_fer.serving import faces

PORTRAIT = faces.Box(149, 102, 229, 229)  # in the fixture client_portrait
# In the photographs in the folder that MUWNET_MEDIA names.
MEDIA = {
    "obama-480p.jpg": [faces.Box(381, 45, 126, 126)],
    "two_people.jpg": [faces.Box(236, 27, 177, 177), faces.Box(786, 60, 181, 181)],
}


def assert_near(found: list[faces.Box], expected: list[faces.Box]) -> None:
    """Other processors and decoders may round otherwise: some pixels are allowed."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        differences = np.subtract(list(vars(one).values()), list(vars(other).values()))
        assert np.abs(differences).max() <= 8, found
