"""Ten views: the face, zoomed and turned, and their mirror images, border pixels repeated."""

import cv2
import numpy as np

from muwnet_fer.models.muwnet import views

# Of a view's pixel, where in the face it lies: zoom and degrees of OpenCV's own map.
MAPS = [(1.0, 0.0), (0.92, 0.0), (1.08, 0.0), (1.0, -8.0), (1.0, 8.0)]


def test_views_are_the_face_zoomed_and_turned_and_their_mirror_images():
    patches = np.random.default_rng(1).integers(0, 256, (3, 6, 6))
    faces = np.kron(patches, np.ones((1, 8, 8))).astype(np.uint8)
    made = views.make_views(faces).numpy()
    assert made.shape == (views.COUNT, 3, 48, 48)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made[0], faces)
    np.testing.assert_array_equal(made[5:], made[:5, :, :, ::-1])
    for view, (zoom, degrees) in zip(made[:5], MAPS, strict=True):
        to_face = cv2.getRotationMatrix2D((23.5, 23.5), degrees, zoom)
        for found, face in zip(view, faces, strict=True):
            expected = cv2.warpAffine(
                face.astype(np.float32),
                to_face,
                (48, 48),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            # OpenCV places its samples to 1/32 of a pixel.
            np.testing.assert_allclose(found, expected, atol=255 / 16)


def test_no_faces_have_no_views():
    assert views.make_views(np.zeros((0, 48, 48), np.uint8)).shape == (10, 0, 48, 48)
