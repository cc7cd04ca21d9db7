"""Faces followed from frame to frame: stable ids, and probabilities smoothed in time.

A face is the track whose box, moved on at its last speed, overlaps it most. Its probabilities are
the mean over the track's predictions, weighted by exp(-age / smoothing): labels do not flicker.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from muwnet_fer.serving import client, faces

_LEAST_OVERLAP = 0.2  # intersection over union; detectors' boxes wobble by a tenth of their size
_FORGET_AFTER = 1.0  # seconds without a detection; whoever comes back sooner keeps the id
_SPEED_SMOOTHING = 0.3  # seconds; shorter, and a wobbling box would seem to move
_MARGIN = 0.05  # by which another emotion must be more probable before the label changes


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in one frame."""

    id: int  # counted from 1
    box: faces.Box
    prediction: client.Prediction  # smoothed; its label may trail its largest probability by 0.05


@dataclasses.dataclass
class _Track:
    id: int
    box: faces.Box
    time: float
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a second
    weight: float = 0.0  # of all predictions so far
    mean: dict[str, float] = dataclasses.field(default_factory=dict)
    label: str = ""

    def predict_box(self, time: float) -> faces.Box:
        """Returns where the box would be by now."""
        across, down = (speed * (time - self.time) for speed in self.speed)
        return dataclasses.replace(self.box, x=self.box.x + across, y=self.box.y + down)

    def move(self, box: faces.Box, time: float) -> None:
        elapsed = time - self.time
        if elapsed > 0:
            new = 1 - math.exp(-elapsed / _SPEED_SMOOTHING)
            moved = (_center(box)[axis] - _center(self.box)[axis] for axis in (0, 1))
            self.speed = tuple(
                speed + new * (distance / elapsed - speed)
                for speed, distance in zip(self.speed, moved, strict=True)
            )
        self.box, self.time = box, time

    def smooth(self, prediction: client.Prediction, decay: float, margin: float) -> None:
        self.weight = decay * self.weight + 1
        kept = 1 - 1 / self.weight  # of the mean so far
        mean = self.mean or prediction.probabilities
        self.mean = {
            emotion: probability + kept * (mean[emotion] - probability)
            for emotion, probability in prediction.probabilities.items()
        }
        best = max(self.mean, key=self.mean.get)
        if self.mean[best] > self.mean.get(self.label, -1.0) + margin:
            self.label = best


class Tracker:
    """Gives the faces of frame after frame their ids and smoothed predictions."""

    def __init__(self, smoothing: float) -> None:
        """`smoothing`: seconds after which a prediction counts 1/e; 0 takes each as it is."""
        if not 0 <= smoothing < math.inf:
            raise ValueError(f"expected smoothing of 0 or more seconds, got {smoothing}")
        self._smoothing = smoothing
        self._tracks: list[_Track] = []
        self._ids = itertools.count(1)

    def update(
        self, time: float, detections: Sequence[tuple[faces.Box, client.Prediction]]
    ) -> list[Face]:
        """Returns the faces of the frame of `time` (seconds, never decreasing), as detected."""
        self._tracks = [track for track in self._tracks if time - track.time <= _FORGET_AFTER]
        matches = self._match(time, [box for box, _ in detections])
        found = []
        for number, (box, prediction) in enumerate(detections):
            track = matches.get(number)
            if track is None:
                track = _Track(next(self._ids), box, time)
                self._tracks.append(track)
            age = time - track.time
            track.move(box, time)
            if self._smoothing:
                track.smooth(prediction, math.exp(-age / self._smoothing), _MARGIN)
            else:
                track.smooth(prediction, 0.0, 0.0)
            found.append(Face(track.id, box, client.Prediction(track.label, track.mean)))
        return found

    def _match(self, time: float, boxes: list[faces.Box]) -> dict[int, _Track]:
        """Returns the track of each box that has one, by its number; the best overlap first."""
        overlaps = sorted(
            (
                (compute_overlap(track.predict_box(time), box), -track.id, number, track)
                for track in self._tracks
                for number, box in enumerate(boxes)
            ),
            key=lambda match: match[:3],
            reverse=True,
        )
        matches: dict[int, _Track] = {}
        taken = set()
        for overlap, _, number, track in overlaps:
            if overlap >= _LEAST_OVERLAP and number not in matches and track.id not in taken:
                matches[number] = track
                taken.add(track.id)
        return matches


def compute_overlap(one: faces.Box, other: faces.Box) -> float:
    """Returns the intersection over the union of two boxes, 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (one.width * one.height + other.width * other.height - both)


def _center(box: faces.Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
