"""Every emotion has a face of its own, which covers the face in the frame and nothing else."""

import itertools

import numpy as np
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.serving import emoticons, faces


def test_emotions_can_be_told_apart_even_when_small():
    small = {emotion: emoticons.render(emotion, 32).astype(int) for emotion in fer2013.EMOTIONS}
    for one, other in itertools.combinations(small, 2):
        changed = (np.abs(small[one] - small[other]).max(axis=2) > 60).sum()
        assert changed > 50, (one, other)  # pixels of 804


def test_it_is_a_disc_with_smooth_edges():
    opacity = emoticons.render("happy", 100)[..., 3]
    assert opacity[50, 50] == 255
    assert opacity[0, 0] == 0
    assert opacity.mean() / 255 == pytest.approx(np.pi * (236 / 512) ** 2, rel=0.01)
    assert ((opacity > 0) & (opacity < 255)).sum() > 100


def test_it_covers_the_face_and_leaves_the_rest():
    frame = np.full((240, 320, 3), 90, np.uint8)
    emoticons.overlay(frame, faces.Box(100, 60, 80, 80), "sad")
    changed = (frame != 90).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert changed[70:130, 110:170].all()
    assert (rows.min(), columns.min()) == pytest.approx((57, 97), abs=2)
    assert (rows.max(), columns.max()) == pytest.approx((142, 182), abs=2)


@pytest.mark.parametrize(
    "box",
    [
        faces.Box(-30, -30, 80, 80),
        faces.Box(290, 200, 80, 80),
        faces.Box(-200, -200, 900, 900),
        faces.Box(10, 10, 1, 1),
    ],
)
def test_faces_at_the_edge_and_of_any_size_are_covered_where_they_are_in_the_frame(box):
    frame = np.full((240, 320, 3), 90, np.uint8)
    emoticons.overlay(frame, box, "fear")
    assert (frame != 90).any()


def test_a_face_outside_the_frame_changes_nothing():
    frame = np.full((240, 320, 3), 90, np.uint8)
    emoticons.overlay(frame, faces.Box(400, 400, 80, 80), "fear")
    assert (frame == 90).all()
