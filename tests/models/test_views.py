"""Ten views: the face, moved, larger and smaller, and their mirror images."""

import numpy as np

from muwnet_fer.models.muwnet import views

SIDE = np.arange(48)


def test_views_are_the_face_and_the_face_moved_and_their_mirror_images():
    faces = np.random.default_rng(1).integers(0, 256, (3, 48, 48), np.uint8)
    made = views.make_views(faces).numpy()
    assert made.shape == (10, 3, 48, 48)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made[0], faces)
    np.testing.assert_array_equal(made[1, :, :, 2:], faces[:, :, :-2])
    np.testing.assert_array_equal(made[1, :, :, 1::-1], faces[:, :, :2])
    np.testing.assert_array_equal(made[2, :, :, :-2], faces[:, :, 2:])
    np.testing.assert_array_equal(made[5:], made[:5, :, :, ::-1])


def test_larger_and_smaller_views_keep_the_centre():
    across, down = np.meshgrid(SIDE, SIDE)
    ramps = np.stack([5 * across, 2 * across + 3 * down]).astype(np.uint8)
    made = views.make_views(ramps).numpy().astype(float)
    for view, shown in ((3, 44), (4, 52)):  # pixels of the face along a side
        x, y = (23.5 + shown / 48 * (axis - 23.5) for axis in (across, down))
        inner = slice(4, 44)  # no interpolation with what lies outside
        expected = np.stack([5 * x, 2 * x + 3 * y])[:, inner, inner]
        np.testing.assert_allclose(made[view][:, inner, inner], expected, atol=0.51)


def test_no_faces_have_no_views():
    assert views.make_views(np.zeros((0, 48, 48), np.uint8)).shape == (10, 0, 48, 48)
