"""Finds the faces of frame after frame: mostly where they were, now and then in the whole frame.

To search a whole frame of 640x480 takes the Haar cascade longer than a frame lasts. A halved one
takes a quarter of that and tells where to look; so does what was found a moment ago. There, faces
are searched for in the pixels as they are. A halved frame still takes most of the time that a frame
lasts: while faces are followed it is searched between two frames, for where to look in the next.
"""

import dataclasses

import cv2
import numpy as np

from muwnet_fer.serving import faces

_LONGER_SIDE = 640  # pixels, to which larger frames are brought: the time stays the same
# Seconds until a whole frame is searched again for faces that are new. The frame after is late.
_SEARCH_EVERY = 1.0
_GROWTH = 0.4  # of a box, to each side: farther no face moves from one frame to the next
_LARGEST_SHARE = 0.5  # of the frame; to search more of it in parts saves nothing


class VideoDetector:
    """A detector of pictures, spared most of its work.

    Args:
      detector: of faces in the pixels as they are.
      halved: of the same faces in a frame of half the width and height.
    """

    def __init__(self, detector: faces.Detector, halved: faces.Detector) -> None:
        self._detector, self._halved = detector, halved
        # In frames as searched: where faces were last, and where there may be others.
        self._places: list[faces.Box] = []
        self._new_places: list[faces.Box] = []
        self._unsearched: np.ndarray | None = None  # the latest frame, unless searched as a whole
        self._time = self._next_search = 0.0  # of the latest frame; from when on it is due

    def detect(self, image: np.ndarray, time: float) -> list[faces.Box]:
        """Returns the faces of a uint8 BGR frame of `time` (seconds), from left to right."""
        scale = max(image.shape[:2]) / _LONGER_SIDE
        if scale <= 1:
            return self._detect(image, time)
        size = round(image.shape[1] / scale), round(image.shape[0] / scale)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return [
            faces.Box(*(round(scale * value) for value in dataclasses.astuple(box)))
            for box in self._detect(small, time)
        ]

    def look_around(self) -> None:
        """Searches the latest frame as a whole where that is due; call it when there is time."""
        # Where nothing is followed, the next frame is searched as a whole anyway.
        is_due = self._places and self._time >= self._next_search
        if is_due and self._unsearched is not None:
            self._new_places = self._search_halved(self._unsearched)

    def _detect(self, image: np.ndarray, time: float) -> list[faces.Box]:
        self._unsearched, self._time = image, time
        places = _drop_nested([*self._places, *self._new_places])
        regions, self._new_places = _grow_all(places, image), []
        if not regions:
            places = self._search_halved(image)
            regions = _grow_all(places, image)
            if not regions:
                self._places = places
                return places
        found = _drop_nested([box for region in regions for box in self._search(image, region)])
        if not all(_is_within_any(place, found) for place in self._places):
            self._next_search = time  # one is gone
        self._places = found
        return found

    def _search_halved(self, image: np.ndarray) -> list[faces.Box]:
        self._unsearched, self._next_search = None, self._time + _SEARCH_EVERY
        height, width = image.shape[:2]
        size = max(1, width // 2), max(1, height // 2)
        half = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        boxes = self._halved.detect(half)
        return _drop_nested(
            [faces.Box(*(2 * value for value in dataclasses.astuple(box))) for box in boxes]
        )

    def _search(self, image: np.ndarray, region: faces.Box) -> list[faces.Box]:
        part = image[region.y : region.y + region.height, region.x : region.x + region.width]
        return [
            faces.Box(region.x + box.x, region.y + box.y, box.width, box.height)
            for box in self._detector.detect(part)
        ]


def _grow_all(places: list[faces.Box], image: np.ndarray) -> list[faces.Box]:
    """Returns the regions to look at, none where they are too large to save anything."""
    regions = [_grow(place, image) for place in places]
    area = sum(region.width * region.height for region in regions)
    return regions if area <= _LARGEST_SHARE * image.shape[0] * image.shape[1] else []


def _grow(box: faces.Box, image: np.ndarray) -> faces.Box:
    """Returns the region around a box, within the frame; never empty."""
    across, down = round(_GROWTH * box.width), round(_GROWTH * box.height)
    left, top = max(0, box.x - across), max(0, box.y - down)
    right = min(image.shape[1], box.x + box.width + across)
    bottom = min(image.shape[0], box.y + box.height + down)
    return faces.Box(left, top, right - left, bottom - top)


def _drop_nested(boxes: list[faces.Box]) -> list[faces.Box]:
    """Drops what was found twice, and an eye and a brow taken for a face; left to right."""
    kept: list[faces.Box] = []
    for box in sorted(boxes, key=lambda box: box.width * box.height, reverse=True):
        if not _is_within_any(box, kept):
            kept.append(box)
    return sorted(kept, key=lambda box: (box.x, box.y))


def _is_within_any(box: faces.Box, others: list[faces.Box]) -> bool:
    """Returns whether the middle of a box lies in another one."""
    across, down = box.x + box.width / 2, box.y + box.height / 2
    return any(
        other.x <= across < other.x + other.width and other.y <= down < other.y + other.height
        for other in others
    )
