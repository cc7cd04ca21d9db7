"""The loop in this process, with a real server: keys, view, smoothing, a server that hangs."""

import contextlib
import csv
import itertools
import pathlib
import signal
import threading
import time

import cv2
import numpy as np
import pytest

from muwnet_fer.serving import (
    capture,
    client,
    drawing,
    faces,
    recognition,
    recording,
    tracking,
    video_detector,
    webcam_loop,
)
from muwnet_fer.tests.serving import server_process, videos


class Screen:
    """Keeps what it is shown."""

    def __init__(self):
        self.images = []

    def show(self, image):
        self.images.append(image)

    def read_key(self):
        return ""

    def close(self):
        pass


class WholeFrame:
    """A detector for frames that are all face."""

    def detect(self, image):
        return [faces.Box(0, 0, image.shape[1], image.shape[0])]


@pytest.fixture(scope="module")
def served(webcam_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("webcam_server")
    server_process.publish(webcam_model, folder / "models", 1)
    with server_process.serve("--model-dir", folder / "models", cwd=folder) as server:
        yield server


@pytest.fixture
def video(tmp_path) -> pathlib.Path:
    """40 frames of a drawn face that goes to and fro."""
    return videos.write(tmp_path / "face.mp4", itertools.islice(videos.move_face(), 40))


@contextlib.contextmanager
def make_loop(
    address, source, every_frame=True, smoothing=0.0, max_faces=10, detector=None, **options
):
    screen = Screen()
    emotion_client = client.EmotionClient(address, deadline=5.0, retry_for=0.0)
    halved = detector or faces.HaarDetector(faces.SMALLEST // 2)
    detector = video_detector.VideoDetector(detector or faces.HaarDetector(), halved)
    with (
        capture.Capture(str(source), every_frame) as frames,
        recognition.Recogniser(detector, emotion_client, max_faces) as recogniser,
        emotion_client,
    ):
        tracker = tracking.Tracker(smoothing)
        yield webcam_loop.Loop(frames, recogniser, tracker, screen, **options), screen


def is_like(image, other) -> bool:
    return np.abs(image.astype(int) - other).mean() < 8  # of 255; MP4 is not exact


def test_every_frame_is_shown_with_its_face(served, video, tmp_path):
    with (
        recording.CsvRecorder(str(tmp_path / "out.csv")) as recorder,
        make_loop(served.address, video, rows=recorder) as (loop, screen),
    ):
        summary = loop.run()
    assert summary.recognised == summary.shown == len(screen.images) == len(summary.latencies) == 40
    assert summary.faces == {1}
    assert summary.source_seconds == pytest.approx(39 / 25)
    rows = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    for number, (image, row) in enumerate(zip(screen.images, rows, strict=True)):
        x, y, height = int(row["x"]), int(row["y"]), int(row["height"])
        # This frame, and in it the box of this row's face.
        left, top = videos.walk(number)
        middle = slice(top + 5, top + 30), slice(left + 50, left + 94)
        assert is_like(image[middle], videos.draw_scene((left, top))[middle])
        assert image[y + height // 2, x].tolist() == list(drawing.COLORS[row["label"]])


def test_a_face_that_joins_is_found_within_a_second_of_another_that_is_followed(served, tmp_path):
    size, places = (640, 240), [(20, 60), (420, 60)]
    scenes = [videos.draw_scene(*places[:1], size=size)] * 5 + [
        videos.draw_scene(*places, size=size)
    ] * 30
    with (
        recording.CsvRecorder(str(tmp_path / "out.csv")) as recorder,
        make_loop(served.address, videos.write(tmp_path / "two.mp4", scenes), rows=recorder) as (
            loop,
            _,
        ),
    ):
        assert loop.run().faces == {1, 2}
    rows = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    joined = min(float(row["time"]) for row in rows if row["face"] == "2")
    assert 5 / 25 <= joined <= 5 / 25 + 1


def test_keys_are_pressed(served, video, tmp_path):
    said = []
    with make_loop(
        served.address,
        video,
        keys="s" + "m" + "s" + "m" + "e" + "s" + "q",
        snapshots=tmp_path,
        say=said.append,
    ) as (loop, screen):
        summary = loop.run()
    assert summary.shown == 7
    plain, mirrored, covered = [cv2.imread(str(path)) for path in sorted(tmp_path.glob("*.png"))]
    assert [line.split(": ")[0] for line in said] == ["snapshot"] * 3
    np.testing.assert_array_equal(plain, screen.images[0])
    np.testing.assert_array_equal(mirrored, screen.images[2])
    np.testing.assert_array_equal(covered, screen.images[5])
    left, top = videos.walk(2)
    face = (slice(top + 5, top + 30), slice(left + 50, left + 94))
    scene = videos.draw_scene(videos.walk(2))
    middle = cv2.flip(scene, 1)
    columns = slice(320 - face[1].stop, 320 - face[1].start)
    assert is_like(mirrored[face[0], columns], middle[face[0], columns])
    # A mirrored frame's text is not mirrored: the speed stands on the left in both.
    for image in (plain, mirrored):
        assert image[:12, :80].min() < 50 < image[:12, -80:].min()
    left, top = videos.walk(5)
    face = (slice(top + 5, top + 30), slice(left + 50, left + 94))
    assert not is_like(covered[face], videos.draw_scene(videos.walk(5))[face])


def test_a_pause_shows_the_same_frame_and_says_so(served, video):
    with make_loop(served.address, video, keys="... ....." + "m. ") as (loop, screen):
        summary = loop.run()
    assert summary.recognised == summary.shown == 40
    assert len(screen.images) > 45
    paused = screen.images[7]
    assert not is_like(paused[-12:], screen.images[1][-12:])
    np.testing.assert_array_equal(paused, screen.images[6])
    # Keys work meanwhile: mirrored.
    assert is_like(screen.images[10][-12:], paused[-12:])
    assert not is_like(screen.images[10], paused)


def test_faces_beyond_the_maximum_are_left_out_the_smallest_first(served, tmp_path):
    small = cv2.resize(videos.draw_scene((40, 40)), None, fx=0.7, fy=0.7)
    scene = np.hstack([cv2.copyMakeBorder(small, 0, 72, 0, 0, cv2.BORDER_REPLICATE)] * 2)
    scene = np.hstack([scene, videos.draw_scene((60, 50))])
    path = videos.write(tmp_path / "three.mp4", [scene] * 5)
    with make_loop(served.address, path) as (loop, _):
        assert len(loop.run().faces) == 3
    rows = tmp_path / "faces.csv"
    with recording.CsvRecorder(str(rows)) as recorder:
        with make_loop(served.address, path, max_faces=1, rows=recorder) as (loop, _):
            assert len(loop.run().faces) == 1
    assert all(int(line.split(",")[2]) > 440 for line in rows.read_text().splitlines()[1:])


def test_labels_change_at_most_half_as_often_with_smoothing(served, tmp_path):
    """The model takes each frame of noise for something else."""
    random = np.random.default_rng(4)
    noise = [np.kron(videos.draw_noise(random), np.ones((5, 5))) for _ in range(100)]
    frames = (np.repeat(one[..., np.newaxis], 3, axis=2).astype(np.uint8) for one in noise)
    path = videos.write(tmp_path / "noise.mp4", frames)
    changes = []
    for smoothing in (0.0, 0.5):
        with make_loop(served.address, path, smoothing=smoothing, detector=WholeFrame()) as (
            loop,
            _,
        ):
            changes.append(loop.run().label_changes)
    assert changes[0] >= 10
    assert changes[1] <= changes[0] / 2


def test_frames_go_on_while_the_server_hangs(served):
    stream = videos.Stream(videos.move_face)
    stream.start()
    said = []
    try:
        with make_loop(served.address, stream.url, say=said.append) as (loop, screen):
            thread = threading.Thread(target=loop.run)
            thread.start()
            server_process.wait_until(lambda: len(screen.images) > 10)
            served.process.send_signal(signal.SIGSTOP)
            try:
                server_process.wait_until(lambda: said)
                before = len(screen.images)
                time.sleep(1.0)
                assert len(screen.images) > before + 5
                assert not is_like(screen.images[-1][-12:], screen.images[5][-12:])  # the notice
                assert not is_like(screen.images[-1], screen.images[before])  # it moves
            finally:
                served.process.send_signal(signal.SIGCONT)
            server_process.wait_until(lambda: len(said) > 1)
            loop.stop()
            thread.join(10)
            assert not thread.is_alive()
    finally:
        stream.stop()
    assert said[0] == "no answer within 0.5 s"
    assert said[1] == "the server is back"


def test_a_file_does_not_wait_for_ever(video, monkeypatch):
    monkeypatch.setattr(webcam_loop, "_GIVE_UP", 1.0)
    said = []
    with make_loop("127.0.0.1:9", video, say=said.append) as (loop, screen):
        with pytest.raises(webcam_loop.LoopError, match="gave up after 1 s: .*127.0.0.1:9"):
            loop.run()
    assert len(said) == 1


def test_recordings_are_whole_after_an_interruption(served, tmp_path):
    stream = videos.Stream(videos.move_face)
    stream.start()
    path = tmp_path / "out.mp4"
    try:
        with (
            recording.VideoRecorder(str(path), 25.0) as recorder,
            make_loop(served.address, stream.url, video=recorder) as (loop, screen),
        ):
            screen.show = raise_after(10)
            assert loop.run().shown >= 9
    finally:
        stream.stop()
    # Fewer than were shown: the stream is faster than the recording's 25 frames/s.
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) >= 3


def raise_after(count: int):
    """Returns a `show` that is interrupted as by Ctrl-C."""
    left = itertools.count(count, -1)

    def show(_):
        if next(left) == 0:
            raise KeyboardInterrupt

    return show
