"""The web page's files, and what it asks the server: /faces."""

import concurrent.futures
import re

import cv2
import numpy as np
import pytest
import requests

from muwnet_fer.serving import client, faces
from muwnet_fer.tests.serving import server_process

DEADLINE = server_process.DEADLINE


@pytest.fixture(scope="module")
def server(client_model_dir):
    arguments = ("--model-dir", client_model_dir)
    with server_process.serve(*arguments, cwd=client_model_dir.parent) as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.output


def post(server, content: bytes) -> requests.Response:
    return requests.post(f"{server.rest}/faces", data=content, timeout=DEADLINE)


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def test_the_page_may_load_its_own_files_only(server):
    page = requests.get(f"{server.rest}/", timeout=DEADLINE)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    directives = dict(
        directive.split(" ", 1) for directive in page.headers["Content-Security-Policy"].split("; ")
    )
    assert directives.pop("default-src") == "'none'"
    assert set(directives.values()) == {"'self'", "'none'"}
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(names) == {"page.css", "page.js", "icon.svg"}
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in names:
        file = requests.get(f"{server.rest}/{name}", timeout=DEADLINE)
        assert file.status_code == 200
        assert file.headers["Content-Type"].startswith(types[name.rpartition(".")[2]])
        assert "://" not in file.text.replace("http://www.w3.org/2000/svg", "")
    assert "not stored" in page.text
    assert requests.head(f"{server.rest}/", timeout=DEADLINE).status_code == 200


def test_faces_are_those_that_predict_finds(server, client_portrait):
    answer = post(server, client_portrait.read_bytes())
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json()
    image = faces.read_image(client_portrait)
    boxes = faces.HaarDetector().detect(image)
    with client.EmotionClient(server.address) as emotions:
        predictions = emotions.predict([faces.crop(image, box) for box in boxes])
    assert (document["width"], document["height"], document["version"]) == (512, 600, 1)
    assert [faces.Box(**face["box"]) for face in document["faces"]] == boxes
    assert len(boxes) == 1
    for face, prediction in zip(document["faces"], predictions, strict=True):
        assert face["label"] == prediction.label
        assert face["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)


def test_many_pictures_at_once_are_all_answered(server, client_portrait):
    content = client_portrait.read_bytes()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(server, content), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_a_picture_without_a_face_has_none(server):
    grey = np.full((300, 400, 3), 128, np.uint8)
    answer = post(server, encode(grey)).json()
    assert answer == {"width": 400, "height": 300, "version": None, "faces": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a picture (JPEG, PNG"),
        (b"GIF89a", "expected a picture (JPEG, PNG"),
        (encode(np.zeros((50, 50, 3), np.uint8), ".jpg")[:-20], "got a damaged one"),
        (encode(np.zeros((6000, 6000, 3), np.uint8)), "expected at most 33554432 pixels"),
    ],
)
def test_what_is_no_picture_is_refused(server, content, message):
    answer = post(server, content)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
