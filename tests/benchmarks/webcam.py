"""The webcam loop end to end on a 640x480 file with one face: frames/s, latency, label changes.

    make bench-serving
    python tests/benchmarks/webcam.py [--model-dir DIR]

The server is a process of its own. The film is fer_test.mp4 from the folder MUWNET_MEDIA, to and
fro until it is long enough; without it, a drawn face under changing light.
"""

import argparse
import os
import pathlib
import re
import signal
import tempfile

import cv2
import numpy as np

from muwnet_fer.serving import webcam, webcam_loop
from muwnet_fer.tests import commands
from muwnet_fer.tests.benchmarks import serving
from muwnet_fer.tests.serving import videos

SIZE = (640, 480)
RATE = 25.0
FRAMES = 750  # 30 s


def read_film() -> tuple[str, list[np.ndarray]]:
    """Returns the film's name and frames, uint8 BGR [480, 640, 3]."""
    folder = os.environ.get("MUWNET_MEDIA")
    if not folder:
        random = np.random.default_rng(1)
        scenes = (videos.draw_scene((200 + n % 50, 150), size=SIZE) for n in range(100))
        lit = [np.clip(scene * random.uniform(0.7, 1.2), 0, 255) for scene in scenes]
        return "a drawn face", [frame.astype(np.uint8) for frame in lit]
    video = cv2.VideoCapture(str(pathlib.Path(folder, "fer_test.mp4")))
    frames = []
    while True:
        read, frame = video.read()
        if not read:
            return "fer_test.mp4", frames
        height = round(SIZE[0] * frame.shape[0] / frame.shape[1])
        above = (SIZE[1] - height) // 2
        frame = cv2.resize(frame, (SIZE[0], height))
        frames.append(
            cv2.copyMakeBorder(frame, above, SIZE[1] - height - above, 0, 0, cv2.BORDER_REFLECT_101)
        )


def write_film(path: pathlib.Path) -> str:
    """Writes the film to and fro; returns its name."""
    name, frames = read_film()
    there_and_back = [*frames, *frames[-2:0:-1]]
    looped = (there_and_back[n % len(there_and_back)] for n in range(FRAMES))
    videos.write(path, looped, RATE)
    return name


def start_server(model_dir: pathlib.Path, folder: pathlib.Path):
    """Returns the process and its address."""
    process = commands.start_command(
        *("muwnet-fer", "serve", "--port", "0", "--no-rest"),
        *("--model-dir", model_dir),
        cwd=folder,
    )
    for line in process.stdout:
        print(line, end="")
        found = re.search(r"Serving .* on (\S+) \(gRPC\)", line)
        if found:
            return process, found[1]
    raise SystemExit("the server did not start")


def run(source: pathlib.Path, server: str, **options) -> webcam_loop.Summary:
    settings = webcam.Options(str(source), server, no_display=True, **options)
    return webcam.run(settings, lambda line: print(f"    {line}"))


def count_per_minute(summary: webcam_loop.Summary) -> float:
    return 60 * summary.label_changes / summary.source_seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model-dir", type=pathlib.Path)
    model_dir = parser.parse_args().model_dir
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model_dir = model_dir or serving.export_packaged("cpu", folder)
        film = folder / "film.mp4"
        shown = write_film(film)
        process, server = start_server(model_dir.absolute(), folder)
        try:
            print(f"{shown}, {SIZE[0]}x{SIZE[1]}, {FRAMES} frames")
            raw = run(film, server, csv=str(folder / "raw.csv"), smoothing=0.0)
            smooth = run(film, server, csv=str(folder / "smooth.csv"))
            live = run(film, server)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    latency = 1000 * np.percentile(live.latencies, [50, 95])
    print(
        f"every frame             {smooth.recognised / smooth.seconds:6.1f} frames/s (target 25)\n"
        f"played at 25 frames/s   {live.recognised / live.seconds:6.1f} frames/s, capture to drawn "
        f"p50 {latency[0]:.0f} ms, p95 {latency[1]:.0f} ms (target 60)\n"
        f"label changes a minute  {count_per_minute(raw):6.1f} without smoothing, "
        f"{count_per_minute(smooth):.1f} with (target: half)"
    )


if __name__ == "__main__":
    main()
