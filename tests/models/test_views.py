"""Ten views: the face, its shifts, their mirror images, border pixels repeated."""

import numpy as np

from muwnet_fer.models.muwnet import views


def test_views_are_the_face_four_shifts_and_their_mirror_images():
    faces = np.random.default_rng(1).integers(0, 256, (3, 48, 48), np.uint8)
    made = views.make_views(faces).numpy()
    assert made.shape == (views.COUNT, 3, 48, 48)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made[0], faces)
    np.testing.assert_array_equal(made[5:], made[:5, :, :, ::-1])
    padded = np.pad(faces, ((0, 0), (2, 2), (2, 2)), mode="edge")
    shifts = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]
    for view, (top, left) in zip(made[:5], shifts, strict=True):
        np.testing.assert_array_equal(view, padded[:, top : top + 48, left : left + 48])


def test_no_faces_have_no_views():
    assert views.make_views(np.zeros((0, 48, 48), np.uint8)).shape == (10, 0, 48, 48)
