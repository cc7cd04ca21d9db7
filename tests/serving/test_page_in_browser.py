"""The web page as somebody uses it, in a real Chromium: picture and camera."""

import contextlib
import pathlib

import cv2
import numpy as np
import pytest

from muwnet_fer.data import fer2013
from muwnet_fer.tests import chromium
from muwnet_fer.tests.serving import server_process

pytestmark = chromium.needed


@pytest.fixture(scope="module")
def server(client_model_dir):
    arguments = ("--model-dir", client_model_dir)
    with server_process.serve(*arguments, cwd=client_model_dir.parent) as running:
        yield running
        assert "Traceback" not in running.output


@pytest.fixture(scope="module")
def camera_file(client_portrait, tmp_path_factory) -> pathlib.Path:
    """What the fake camera shows: the portrait, 480 pixels high, as Motion JPEG."""
    portrait = cv2.resize(cv2.imread(str(client_portrait)), (410, 480))
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[:, 115:525] = portrait
    path = tmp_path_factory.mktemp("camera") / "portrait.mjpeg"
    path.write_bytes(cv2.imencode(".jpg", frame)[1].tobytes() * 10)
    return path


def open_page(server, *arguments: str, size: str = "desktop", permissions=()):
    return chromium.open_page(f"{server.rest}/", *arguments, size=size, permissions=permissions)


def check_face(page) -> dict[str, float]:
    """Checks that one face is shown; returns its percentages."""
    page.wait_for_selector(".face")
    label = page.inner_text(".face .label").partition(",")[0]
    assert page.inner_text("#status") == f"1 face: {label}."
    emotions = page.locator(".face dt").all_inner_texts()
    assert emotions == list(fer2013.EMOTIONS)
    percents = [float(text.strip("%\n ")) for text in page.locator(".face dd").all_inner_texts()]
    assert sum(percents) == pytest.approx(100, abs=4)  # each is rounded
    assert emotions[int(np.argmax(percents))] == label
    assert page.inner_text(".box") == f"1 {label}"
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
    track = page.locator(".track").first.bounding_box()["width"]
    np.testing.assert_allclose(np.array(widths) / track, np.array(percents) / 100, atol=0.02)
    return dict(zip(emotions, percents, strict=True))


def check_layout(page) -> None:
    """Checks that nothing reaches over the side of the window, and the box is on the face."""
    chromium.check_width(page)
    picture = page.locator("#picture").bounding_box()
    box = page.locator(".box").bounding_box()
    middle = (box["x"] + box["width"] / 2 - picture["x"]) / picture["width"]
    assert 0.4 < middle < 0.6  # the portrait's face
    assert box["y"] > picture["y"]


@pytest.mark.parametrize("size", chromium.SIZES)
def test_a_chosen_picture_is_shown_with_its_face(server, client_portrait, size):
    with open_page(server, size=size) as page:
        chromium.keep(page, f"{size}-empty")
        page.set_input_files("#file", client_portrait)
        check_face(page)
        check_layout(page)
        chromium.keep(page, f"{size}-picture")


def test_a_dropped_picture_is_shown_as_a_chosen_one(server, client_portrait):
    with open_page(server) as page:
        page.set_input_files("#file", client_portrait)
        chosen = check_face(page)
        content = list(client_portrait.read_bytes())
        page.evaluate(
            """content => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(content)], "a.jpg", {type: "image/jpeg"}));
                document.querySelector(".face").remove();
                document.body.dispatchEvent(
                    new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
                );
            }""",
            content,
        )
        assert check_face(page) == chosen


def test_the_keyboard_reaches_what_the_mouse_does(server):
    with open_page(server) as page:
        names = []
        for _ in range(2):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.id"))
        assert names == ["file", "camera"]
        assert page.get_by_role("button", name="Start the camera").is_visible()
        assert page.get_by_label("Choose a picture").count() == 1


def test_what_is_no_picture_is_said(server, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with open_page(server) as page:
        page.set_input_files("#file", tmp_path / "notes.png")
        page.wait_for_selector("#status.error")
        assert page.inner_text("#status") == "notes.png is no picture that this browser can read."


@pytest.mark.parametrize("size", chromium.SIZES)
def test_the_camera_is_followed_until_it_is_stopped(server, camera_file, size):
    fake = (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    )
    with open_page(server, *fake, size=size, permissions=["camera"]) as page:
        answers = []
        page.on("response", lambda response: answers.append(response.status))
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_selector(".face")
        server_process.wait_until(lambda: page.wait_for_timeout(100) or len(answers) > 5)
        chromium.keep(page, f"{size}-camera")
        page.get_by_role("button", name="Stop the camera").click()
        assert page.inner_text("#status") == "The camera is off."
        page.wait_for_timeout(300)  # the frame under way
        count = len(answers)
        page.wait_for_timeout(500)
        assert len(answers) == count
        assert set(answers) == {200}
        check_layout(page)  # now that the boxes stay


def test_a_camera_that_may_not_be_used_is_said(server, camera_file):
    fake = (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    )
    with open_page(server, *fake, "--deny-permission-prompts") as page:
        page.get_by_role("button", name="Start the camera").click()
        page.wait_for_selector("#status.error")
        assert page.inner_text("#status") == "The browser was told not to use the camera."


def test_a_server_that_is_gone_is_said(client_model_dir, client_portrait):
    arguments = ("--model-dir", client_model_dir)
    with server_process.serve(*arguments, cwd=client_model_dir.parent) as server:
        with contextlib.suppress(AssertionError):  # the browser logs the failed request
            with open_page(server) as page:
                server.process.kill()
                server.process.wait()
                page.set_input_files("#file", client_portrait)
                page.wait_for_selector("#status.error")
                text = page.inner_text("#status")
    assert text == "The server does not answer."
