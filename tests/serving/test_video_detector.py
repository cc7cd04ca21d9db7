"""Faces are followed by looking where they were; the whole frame is searched now and then."""

import cv2
import numpy as np
import pytest

from muwnet_fer.serving import faces, video_detector


class SquareDetector:
    """Finds bright squares, whole ones only, and keeps the sizes of what it searched."""

    def __init__(self, smallest: int):
        self.smallest = smallest
        self.searched = []

    def detect(self, image):
        self.searched.append(image.shape[:2])
        bright = (image[..., 0] > 128).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        boxes = [faces.Box(*map(int, row[:4])) for row in stats[1:] if row[4] >= self.smallest**2]
        return sorted(boxes, key=lambda box: (box.x, box.y))


def draw(*boxes) -> np.ndarray:
    frame = np.zeros((480, 640, 3), np.uint8)
    for box in boxes:
        frame[box.y : box.y + box.height, box.x : box.x + box.width] = 255
    return frame


def make_detectors() -> tuple[SquareDetector, SquareDetector]:
    """Of frames as they are, and of halved ones."""
    return SquareDetector(30), SquareDetector(15)


def follow(frames):
    """Returns what was found, the numbers of the frames that waited for a search of the whole,
    of those that were searched so behind them, and all sizes.
    """
    near, halved = make_detectors()
    video = video_detector.VideoDetector(near, halved)
    found, waited, behind = [], [], []
    for number, frame in enumerate(frames):
        before = len(halved.searched)
        found.append(video.detect(frame, number / 25))
        detected = len(halved.searched)
        video.look_around()
        waited += [number] * (detected - before)
        behind += [number] * (len(halved.searched) - detected)
    assert set(halved.searched) == {(240, 320)}
    return found, waited, behind, near.searched + halved.searched


def test_moving_faces_are_found_where_they_are_and_mostly_without_searching_everything():
    paths = [
        [faces.Box(10 + 8 * n, 20 + 2 * n, 40, 40), faces.Box(600 - 8 * n, 300, 40, 40)]
        for n in range(60)
    ]
    found, waited, behind, searched = follow(draw(*boxes) for boxes in paths)
    assert found == [sorted(boxes, key=lambda box: box.x) for boxes in paths]
    assert waited == [0]
    assert 2 <= len(behind) <= 5
    assert sum(h * w for h, w in searched) < 60 * 480 * 640 / 5


def test_a_new_face_is_found_within_a_second():
    one, other = faces.Box(100, 100, 60, 60), faces.Box(400, 300, 50, 50)
    found, *_ = follow([draw(one)] * 5 + [draw(one, other)] * 30)
    first = next(number for number, boxes in enumerate(found) if other in boxes)
    assert 5 < first <= 26
    assert all(boxes == [one, other] for boxes in found[first:])


def test_where_a_face_is_lost_everything_is_searched_at_the_next_frame():
    one, elsewhere = faces.Box(100, 100, 60, 60), faces.Box(500, 300, 60, 60)
    found, *_ = follow([draw(one)] * 5 + [draw(elsewhere)] * 3)
    assert found[4:] == [[one], [], [elsewhere], [elsewhere]]


def test_without_a_face_each_frame_is_searched_whole():
    _, waited, behind, _ = follow([draw()] * 10)
    assert (waited, behind) == (list(range(10)), [])


def test_neighbours_are_found_once_each():
    boxes = [faces.Box(100, 100, 60, 60), faces.Box(170, 100, 60, 60)]
    found, *_ = follow([draw(*boxes)] * 10)
    assert found == [boxes] * 10


def test_a_crowd_is_searched_whole():
    boxes = [faces.Box(20 + 100 * n, 40 + 110 * m, 80, 80) for n in range(6) for m in range(4)]
    found, waited, behind, _ = follow([draw(*boxes)] * 5)
    assert sorted(found[4], key=str) == sorted(boxes, key=str)
    assert (waited, behind) == (list(range(5)), [])


def test_faces_at_the_edge_are_followed():
    box = faces.Box(0, 440, 40, 40)
    found, *_ = follow([draw(box)] * 10)
    assert found == [[box]] * 10


def test_what_lies_within_a_face_is_none():
    class Both(SquareDetector):
        def detect(self, image):
            found = super().detect(image)
            return [*found, *(faces.Box(box.x + 10, box.y + 10, 20, 20) for box in found)]

    video = video_detector.VideoDetector(Both(30), SquareDetector(15))
    assert video.detect(draw(faces.Box(100, 100, 60, 60)), 0.0) == [faces.Box(100, 100, 60, 60)]


def test_large_frames_are_searched_at_a_bounded_size():
    near, halved = make_detectors()
    video = video_detector.VideoDetector(near, halved)
    frame = cv2.resize(draw(faces.Box(100, 100, 60, 60)), (1920, 1440), interpolation=0)
    for number in range(5):
        (box,) = video.detect(frame, number / 25)
        assert (box.x, box.y, box.width, box.height) == pytest.approx((300, 300, 180, 180), abs=6)
    assert max(map(max, near.searched + halved.searched)) == 320


def test_what_the_whole_frame_alone_shows_is_not_searched_for_again_and_again():
    class WithPhantom(SquareDetector):
        def detect(self, image):
            return [*super().detect(image), faces.Box(200, 150, 30, 30)]

    near, halved = SquareDetector(30), WithPhantom(15)
    video = video_detector.VideoDetector(near, halved)
    box = faces.Box(100, 100, 60, 60)
    for number in range(50):
        assert video.detect(draw(box), number / 25) == [box]
        video.look_around()
    assert len(halved.searched) <= 3
    assert len(near.searched) <= 50 + 3


def test_a_face_takes_the_place_of_a_part_of_it():
    class PartOnly(SquareDetector):
        """In a region that is cut off around it, it sees a part alone."""

        def detect(self, image):
            if image.shape[0] < 150:
                height, width = image.shape[:2]
                return [faces.Box(width // 2 - 15, height // 2 - 15, 30, 30)]
            return super().detect(image)

    box = faces.Box(200, 150, 120, 120)
    video = video_detector.VideoDetector(PartOnly(30), SquareDetector(15))
    video._places = [faces.Box(245, 195, 30, 30)]
    found = []
    for number in range(3):
        found.append(video.detect(draw(box), number / 25))
        video.look_around()
    assert found[1:] == [[box], [box]]
