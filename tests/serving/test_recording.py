"""Recordings hold every frame and face, keep to time, and never overwrite a file."""

import csv
import subprocess
import sys

import cv2
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.serving import client, faces, recording, tracking
from muwnet_fer.tests.serving import videos


def read_numbers(path):
    video = cv2.VideoCapture(str(path))
    numbers = []
    while True:
        read, image = video.read()
        if not read:
            return numbers, video.get(cv2.CAP_PROP_FPS)
        numbers.append(videos.read_number(cv2.resize(image, videos.SIZE)))


def test_each_frame_is_written_once_at_the_sources_rate(tmp_path):
    path = tmp_path / "out.mp4"
    with recording.VideoRecorder(str(path), rate=24.7017) as recorder:
        for number in range(40):
            recorder.write(videos.draw_number(number))
    numbers, rate = read_numbers(path)
    assert numbers == list(range(40))
    assert rate == pytest.approx(24.7, abs=0.01)


def test_frames_with_times_are_repeated_or_left_out_so_that_the_video_keeps_to_them(tmp_path):
    path = tmp_path / "out.mp4"
    times = [5.0, 5.4, 5.41, 5.42, 6.0]  # seconds; 10 frames/s
    with recording.VideoRecorder(str(path), rate=10) as recorder:
        for number, time in enumerate(times):
            recorder.write(videos.draw_number(number), time)
    assert read_numbers(path)[0] == [0, 1, 1, 1, 1, 4, 4, 4, 4, 4, 4]


def test_an_hour_without_a_camera_is_left_out(tmp_path):
    path = tmp_path / "out.mp4"
    with recording.VideoRecorder(str(path), rate=10) as recorder:
        for number, time in enumerate([0.0, 0.1, 3600.0, 3600.1]):
            recorder.write(videos.draw_number(number), time)
    assert read_numbers(path)[0] == [0, 1, 2, 3]


def test_a_video_that_could_not_be_written_to_its_end_is_said(tmp_path):
    # As on a full disk: the process may write no file beyond this length.
    script = (
        "import resource, signal, sys; import numpy as np\n"
        "from muwnet_fer.serving import recording\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "noise = np.random.default_rng(1)\n"
        "with recording.VideoRecorder(sys.argv[1], 25) as recorder:\n"
        "    for _ in range(60): recorder.write(noise.integers(0, 256, (120, 160, 3), np.uint8))"
    )
    path = tmp_path / "out.mp4"
    ended = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert f"RecordingError: expected 60 frames in {path}, got 0: is the disk full?" in ended.stderr


def test_frames_of_another_size_are_brought_to_the_first_ones(tmp_path):
    path = tmp_path / "out.mp4"
    with recording.VideoRecorder(str(path), rate=10) as recorder:
        recorder.write(videos.draw_number(1))
        recorder.write(cv2.resize(videos.draw_number(2), (641, 479)))
    assert read_numbers(path)[0] == [1, 2]


def test_without_a_frame_no_file_is_left(tmp_path):
    with recording.VideoRecorder(str(tmp_path / "out.mp4"), rate=10):
        pass
    with recording.CsvRecorder(str(tmp_path / "faces.csv")):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make", [lambda path: recording.VideoRecorder(path, 25.0), recording.CsvRecorder]
)
def test_no_file_is_overwritten_and_what_cannot_be_written_is_said(make, tmp_path):
    path = tmp_path / "there.mp4"
    path.write_text("precious")
    with pytest.raises(recording.RecordingError, match="there.mp4 not to be there yet"):
        make(str(path))
    assert path.read_text() == "precious"
    with pytest.raises(recording.RecordingError, match="cannot write .*: No such file"):
        make(str(tmp_path / "no folder" / "out.mp4"))


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(recording.RecordingError, match="ends in .mp4, got out.webm"):
        recording.VideoRecorder("out.webm", 25)


def test_csv_has_a_row_for_each_face_and_frame(tmp_path):
    path = tmp_path / "faces.csv"
    probabilities = dict(zip(fer2013.EMOTIONS, (0.1, 0.05, 0.05, 0.5, 0.1, 0.1, 0.1), strict=True))
    prediction = client.Prediction("happy", probabilities)
    one = tracking.Face(3, faces.Box(10, 20, 30, 40), prediction)
    other = tracking.Face(7, faces.Box(11, 21, 31, 41), prediction)
    with recording.CsvRecorder(str(path)) as recorder:
        recorder.write(0.04, [one, other])
        recorder.write(0.08, [])
        recorder.write(0.12, [one])
        with path.open(newline="") as file:  # before it is closed: a kill loses nothing
            rows = list(csv.DictReader(file))
    assert [(row["time"], row["face"]) for row in rows] == [
        *(("0.040", "3"), ("0.040", "7")),
        ("0.120", "3"),
    ]
    assert [rows[1][name] for name in ("x", "y", "width", "height")] == ["11", "21", "31", "41"]
    assert rows[0]["label"] == "happy"
    assert {emotion: float(rows[0][emotion]) for emotion in fer2013.EMOTIONS} == probabilities
