"""`muwnet-fer webcam` as a user runs it, without a display, against a real server."""

import csv
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import output_folder
from muwnet_fer.serving import embedded
from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import server_process, videos


@pytest.fixture(scope="module")
def models(webcam_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("webcam_models")
    server_process.publish(webcam_model, folder, 1)
    return folder


@pytest.fixture(scope="module")
def served(models):
    with server_process.serve("--model-dir", models, cwd=models) as server:
        yield server


@pytest.fixture
def video(tmp_path):
    """50 frames, 2 s, of a drawn face that goes to and fro."""
    return videos.write(tmp_path / "face.mp4", itertools.islice(videos.move_face(), 50))


def run_webcam(*arguments, cwd, **environment) -> commands.Command:
    return commands.run_command(
        "muwnet-fer", "webcam", "--no-display", *arguments, cwd=cwd, **environment
    )


def read_rows(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_file_becomes_a_drawn_video_and_rows(served, video, tmp_path):
    arguments = ("--source", video, "--server", served.address, "--smoothing", "0")
    result = run_webcam(*arguments, "--output", "out.mp4", "--csv", "out.csv", cwd=tmp_path)
    assert result.exit_code == 0, result.output
    assert f"end of {video} after 50 frames" in result.output
    assert "50 frames recognised, 50 shown, 0 dropped; faces: 1" in result.output
    rows = read_rows(tmp_path / "out.csv")
    assert len(rows) == 50
    for number, row in enumerate(rows):
        assert float(row["time"]) == pytest.approx(number / 25, abs=0.001)
        assert row["face"] == "1"
        left, top = videos.walk(number)
        middle = int(row["x"]) + int(row["width"]) / 2, int(row["y"]) + int(row["height"]) / 2
        assert middle == pytest.approx((left + 72, top + 72), abs=15)
        probabilities = {emotion: float(row[emotion]) for emotion in fer2013.EMOTIONS}
        assert sum(probabilities.values()) == pytest.approx(1, abs=0.001)
        assert probabilities[row["label"]] == max(probabilities.values())
    written = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    assert written.get(cv2.CAP_PROP_FPS) == 25
    image = written.read()[1]
    drawn = np.abs(image.astype(int) - videos.draw_scene(videos.walk(0))).max(axis=2) > 60
    assert 0.02 < drawn.mean() < 0.5


def test_a_file_that_is_only_shown_plays_at_its_own_speed(served, video, tmp_path):
    result = run_webcam("--source", video, "--server", served.address, cwd=tmp_path)
    assert result.exit_code == 0, result.output
    rate = float(re.search(r"([\d.]+) frames/s", result.output)[1])
    assert rate < 26
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.mp4"]


def test_a_file_waits_for_a_server_that_is_killed_and_comes_back(models, tmp_path):
    video = videos.write(tmp_path / "long.mp4", itertools.islice(videos.move_face(), 600))
    port = find_free_port()
    serve = ("--model-dir", models, "--port", port)
    with server_process.serve(*serve, cwd=tmp_path) as server:
        webcam = commands.start_command(
            *("muwnet-fer", "webcam", "--no-display", "--source", video),
            *("--server", server.address, "--csv", "out.csv"),
            cwd=tmp_path,
        )
        rows = tmp_path / "out.csv"
        server_process.wait_until(lambda: rows.exists() and len(read_rows(rows)) > 20)
        server.process.kill()
        server.process.wait()
    seen = len(read_rows(rows))
    with server_process.serve(*serve, cwd=tmp_path):
        output, _ = webcam.communicate(timeout=120)
    assert webcam.returncode == 0, output
    assert seen < 550
    assert output.count("UNAVAILABLE") == 1  # said once, not at each attempt
    assert "the server is back" in output
    assert "600 frames recognised" in output
    numbers = {round(float(row["time"]) * 25) for row in read_rows(rows)}
    assert numbers == set(range(600))


def test_a_stream_goes_on_without_faces_while_the_server_is_gone(models, tmp_path):
    stream = videos.Stream(videos.move_face)
    stream.start()
    port = find_free_port()
    serve = ("--model-dir", models, "--port", port)
    rows = tmp_path / "out.csv"
    try:
        with server_process.serve(*serve, cwd=tmp_path) as server:
            webcam = commands.start_command(
                *("muwnet-fer", "webcam", "--no-display", "--source", stream.url),
                *("--server", server.address, "--csv", "out.csv", "--output", "out.mp4"),
                cwd=tmp_path,
            )
            server_process.wait_until(lambda: rows.exists() and len(read_rows(rows)) > 10)
            server.process.kill()
            server.process.wait()
        last = float(read_rows(rows)[-1]["time"])
        with server_process.serve(*serve, cwd=tmp_path):
            # Rows again, though the webcam was not told.
            server_process.wait_until(lambda: float(read_rows(rows)[-1]["time"]) > last + 1)
            webcam.send_signal(signal.SIGTERM)
            output, _ = webcam.communicate(timeout=30)
    finally:
        stream.stop()
    assert webcam.returncode == 0, output
    assert "the server is back" in output and "Traceback" not in output
    recognised, shown = map(int, re.search(r"(\d+) frames rec\w+, (\d+) shown", output).groups())
    assert shown > recognised + 10
    # SIGTERM left a whole video, with the time without a server in it.
    times = [float(row["time"]) for row in read_rows(rows)]
    longest = max(after - before for before, after in itertools.pairwise(times))
    written = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    seconds = written.get(cv2.CAP_PROP_FRAME_COUNT) / written.get(cv2.CAP_PROP_FPS)
    assert longest > 1
    assert seconds == pytest.approx(times[-1] - times[0], abs=2)


def test_with_no_server_the_embedded_one_is_started_and_stopped(webcam_model, video, tmp_path):
    if embedded.is_listening(embedded.DEFAULT_ADDRESS):
        pytest.skip(f"a server is at {embedded.DEFAULT_ADDRESS}")
    lineage = output_folder.claim(tmp_path / "output" / "fer2013", "fer2013")
    server_process.publish(webcam_model, lineage.serving_model, 1)
    result = run_webcam("--source", video, "--csv", "out.csv", cwd=tmp_path)
    assert result.exit_code == 0, result.output
    assert "no server at 127.0.0.1:8500: starting `muwnet-fer serve`" in result.output
    assert "pushed by lineage fer2013" in result.output  # it says which model
    assert len(read_rows(tmp_path / "out.csv")) == 50
    assert not embedded.is_listening(embedded.DEFAULT_ADDRESS)


def test_an_embedded_server_that_ends_is_started_again(monkeypatch):
    class Answering:
        def predict(self, images):
            return []

    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(embedded, "_COMMAND", sleep)
    with embedded.EmbeddedServer() as server:
        server.wait_until_ready(Answering())
        first = server._process
        first.kill()
        server_process.wait_until(lambda: server._process is not first)
        second = server._process
        assert second.poll() is None
    assert second.poll() is not None
    time.sleep(embedded._PAUSE + 0.2)
    assert server._process is second


def test_an_embedded_server_that_does_not_start_is_reported(video, tmp_path):
    if embedded.is_listening(embedded.DEFAULT_ADDRESS):
        pytest.skip(f"a server is at {embedded.DEFAULT_ADDRESS}")
    (tmp_path / "output").write_text("no folder")
    commands.copy_package_without_weights(tmp_path)
    result = run_webcam("--source", video, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.exit_code == 1
    assert "expected `muwnet-fer serve` to start, got exit code" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--source", "no.mp4"], 1, "got no.mp4: no such file"),
        (["--source", "text.mp4"], 1, "cannot open text.mp4: it is no video that OpenCV reads"),
        (["--source", "63"], 1, "cannot open camera 63: is it plugged in"),
        (["--source", "face.mp4", "--server", "127.0.0.1:9"], 1, "UNAVAILABLE"),
        (["--source", "face.mp4", "--server", "nowhere"], 2, "as HOST:PORT, got 'nowhere'"),
        (["--source", "face.mp4", "--output", "face.mp4"], 1, "face.mp4 not to be there yet"),
        (["--source", "face.mp4", "--output", "out.avi"], 1, "ends in .mp4, got out.avi"),
        (["--source", "face.mp4", "--csv", "no/out.csv"], 1, "cannot write no/out.csv: No such"),
        (["--smoothing", "-1"], 2, "--smoothing"),
        (["--max-faces", "0"], 2, "--max-faces"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(arguments, exit_code, message, video, tmp_path):
    (tmp_path / "text.mp4").write_text("no video" * 100)
    before = sorted(tmp_path.iterdir())
    result = run_webcam(*arguments, cwd=tmp_path)
    assert result.exit_code == exit_code
    assert message in result.output
    assert "Traceback" not in result.output and "WARN" not in result.output
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("display", "message"),
    [
        ("", "expected a display (DISPLAY), got none: use --no-display"),
        (":987", "cannot open a window on display :987, use --no-display: "),  # Qt would abort
    ],
)
def test_without_a_display_a_window_is_refused_with_a_hint(video, tmp_path, display, message):
    command = [sys.executable, "-c", "from muwnet_fer import cli; cli.main()", "webcam"]
    environment = {**os.environ, "DISPLAY": display, "WAYLAND_DISPLAY": "wayland-0"}
    result = subprocess.run(
        [*command, "--source", str(video)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 1
    assert message in result.stderr


@pytest.mark.skipif("MUWNET_MEDIA" not in os.environ, reason="MUWNET_MEDIA is not set")
def test_a_real_face_is_followed(served, tmp_path):
    video = os.path.join(os.environ["MUWNET_MEDIA"], "fer_test.mp4")
    result = run_webcam(
        "--source", video, "--server", served.address, "--csv", "out.csv", cwd=tmp_path
    )
    assert result.exit_code == 0, result.output
    rows = read_rows(tmp_path / "out.csv")
    frames = {row["time"] for row in rows if row["face"] == "1"}
    assert len(frames) > 0.9 * 115
