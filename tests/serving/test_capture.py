"""Frames in order and on time; lost sources come back, what is no source is refused."""

import time

import pytest

from muwnet_fer.serving import capture, video_source
from muwnet_fer.tests.serving import videos


@pytest.fixture
def video(tmp_path):
    """60 numbered frames, 2 s."""
    return videos.write(tmp_path / "numbers.mp4", map(videos.draw_number, range(60)), rate=30)


@pytest.fixture
def stream():
    stream = videos.Stream()
    stream.start()
    yield stream
    stream.stop()


def take_all(source, pause=0.0):
    frames = []
    while not source.ended:
        frame = source.take(timeout=1.0)
        if frame is not None:
            frames.append(frame)
            time.sleep(pause)
    return frames


def take_until(source, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = source.take(timeout=0.1)
        if condition(frame):
            return frame
    raise AssertionError(f"not within {seconds} s; notice: {source.notice!r}")


def test_every_frame_of_a_file_comes_in_order_and_faster_than_it_plays(video):
    started = time.monotonic()
    with capture.Capture(str(video), every_frame=True) as source:
        frames = take_all(source)
        assert source.rate == 30
    assert [videos.read_number(frame.image) for frame in frames] == list(range(60))
    assert [round(frame.time * 30) for frame in frames] == list(range(60))
    assert source.dropped == 0
    assert source.ending == f"end of {video} after 60 frames"
    assert time.monotonic() - started < 1.8


def test_every_frame_waits_for_a_slow_reader(video):
    with capture.Capture(str(video), every_frame=True) as source:
        assert len(take_all(source, pause=0.05)) == 60
        assert source.dropped == 0


def test_a_file_plays_at_its_own_speed_and_late_frames_are_dropped_and_counted(video):
    started = time.monotonic()
    with capture.Capture(str(video)) as source:
        frames = take_all(source, pause=0.2)
    assert 1.9 < time.monotonic() - started < 4
    numbers = [videos.read_number(frame.image) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + source.dropped == 60
    assert source.dropped > 30
    # What was taken after a pause of 0.2 s was new at that time, not the next of a queue.
    late = [frame.captured - started - frame.time for frame in frames]
    assert max(late) - min(late) < 0.5


def test_a_pause_halts_a_file_and_its_clock(video):
    with capture.Capture(str(video)) as source:
        before = source.take(timeout=1.0)
        source.pause(True)
        time.sleep(0.2)
        source.take(timeout=0.0)  # one may have been under way
        assert source.take(timeout=0.5) is None
        source.pause(False)
        after = source.take(timeout=1.0)
    assert 0 < after.time - before.time < 0.4


def test_a_lost_stream_is_opened_again_and_says_so_without_its_password(stream):
    with capture.Capture(stream.url, every_frame=True) as source:
        first = take_until(source, lambda frame: frame is not None)
        assert first.image.shape == (240, 320, 3)
        stream.stop()
        take_until(source, lambda _: source.notice)
        assert "gives no picture: next attempt in" in source.notice
        assert "127.0.0.1" in source.notice and "secret" not in source.notice
        assert not source.ended
        stream.start()
        again = take_until(source, lambda frame: frame is not None and not source.notice)
        assert again.time > first.time


def test_a_pause_skips_what_a_stream_shows_meanwhile(stream):
    with capture.Capture(stream.url) as source:
        before = take_until(source, lambda frame: frame is not None)
        source.pause(True)
        time.sleep(1.5)
        assert source.take(timeout=0.0) is None
        dropped = source.dropped
        source.pause(False)
        after = take_until(source, lambda frame: frame is not None)
    assert source.dropped <= dropped + 1
    assert 0 < after.time - before.time < 0.7
    numbers = [videos.read_number(frame.image) for frame in (before, after)]
    assert (numbers[1] - numbers[0]) % 256 > 20


def test_a_file_cut_short_is_reported(tmp_path):
    path = tmp_path / "cut.avi"
    writer_path = videos.write(tmp_path / "whole.avi", map(videos.draw_number, range(100)))
    content = writer_path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with capture.Capture(str(path), every_frame=True) as source:
        frames = take_all(source)
    assert 0 < len(frames) < 100
    assert source.ending == (
        f"end of {path} after {len(frames)} frames, expected 100: the rest cannot be read"
    )


def test_a_fault_of_the_reading_thread_reaches_whoever_takes_the_frames(video, monkeypatch):
    def fail(self, frame):
        raise MemoryError("no memory for a frame")

    monkeypatch.setattr(capture.Capture, "_put", fail)
    with capture.Capture(str(video)) as source:
        with pytest.raises(
            video_source.SourceError, match=f"expected {video} to go on, got no mem"
        ):
            take_until(source, lambda frame: frame is not None)
        assert not source.ended


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "nowhere.mp4",
            "expected a camera's number, a file or a URL, got nowhere.mp4: no such file",
        ),
        (".", "got .: a folder"),
        ("63", "cannot open camera 63: is it plugged in"),
        ("http://user:secret@127.0.0.1:9/live", "cannot open http://127.0.0.1:9/live: is the addr"),
    ],
)
def test_what_is_no_source_is_refused(source, message):
    with pytest.raises(video_source.SourceError) as raised, capture.Capture(source):
        pass
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_no_video_is_refused(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("no video" * 100)
    with pytest.raises(video_source.SourceError, match="text.mp4: it is no video"):
        with capture.Capture(str(path)):
            pass
