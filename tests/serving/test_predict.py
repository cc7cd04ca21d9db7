"""`muwnet-fer predict` on real files, against a real server and in process."""

import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from muwnet_fer.data import fer2013
from muwnet_fer.serving import faces, local_model, photographs, predict
from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import boxes, plain_server, tiny_yunet


@pytest.fixture(scope="module")
def server(client_model_dir):
    with plain_server.serve(plain_server.PredictHandler(str(client_model_dir / "1"))) as address:
        yield address


@pytest.fixture
def pictures(tmp_path, client_portrait) -> pathlib.Path:
    """A folder of two portraits, one of them lying, a picture without a face, and no picture."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    shutil.copy(client_portrait, folder / "portrait.jpg")
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    lying = Image.open(client_portrait).rotate(90, expand=True)
    lying.save(folder / "more" / "lying.png", exif=exif)
    cv2.imwrite(str(folder / "empty.png"), np.zeros((90, 120, 3), np.uint8))
    (folder / "broken.jpg").write_bytes(b"nothing")
    (folder / "notes.txt").write_text("no picture, and not called one")
    (folder / ".hidden.jpg").write_bytes(b"nothing")
    return folder


def run(*arguments, cwd) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error of a `muwnet-fer predict`."""
    result = subprocess.run(
        [commands.BIN / "muwnet-fer", "predict", *map(str, arguments)],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if not key.startswith("TF_")},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout, result.stderr


def hash_files(folder: pathlib.Path) -> dict[str, bytes]:
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def test_every_file_of_a_folder_is_a_line_of_json(pictures, server, client_model_dir, tmp_path):
    code, output, errors = run(pictures, "--server", server, "--json", cwd=tmp_path)
    assert code == 1
    lines = {pathlib.Path(line["file"]).name: line for line in map(json.loads, output.splitlines())}
    assert set(lines) == {"portrait.jpg", "lying.png", "empty.png", "broken.jpg"}
    assert lines["empty.png"]["faces"] == []
    assert "broken.jpg: expected a picture" in lines["broken.jpg"]["error"]
    assert "faces" not in lines["broken.jpg"]
    assert f"{pictures}/empty.png: no face found" in errors
    assert "broken.jpg: expected a picture" in errors
    # What the model itself says of the same face.
    model = local_model.LocalModel(client_model_dir)
    for name, path in (("portrait.jpg", "portrait.jpg"), ("lying.png", "more/lying.png")):
        (face,) = lines[name]["faces"]
        box = faces.Box(**face["box"])
        boxes.assert_near([box], [boxes.PORTRAIT])
        (expected,) = model.predict([faces.crop(faces.read_image(pictures / path), box)])
        assert face["label"] == expected.label
        assert list(face["probabilities"]) == list(fer2013.EMOTIONS)
        for emotion, value in expected.probabilities.items():
            assert face["probabilities"][emotion] == pytest.approx(value, abs=1e-4)


def test_table_has_a_row_for_each_face(pictures, server, tmp_path):
    portrait = pictures / "portrait.jpg"
    code, output, errors = run(portrait, "--server", server, cwd=tmp_path)
    assert (code, errors) == (0, "")
    header, _, row = output.splitlines()
    assert header.split() == ["file", "face", "emotion", *fer2013.EMOTIONS]
    cells = row.split()
    assert cells[0] == str(portrait)
    assert cells[2] in fer2013.EMOTIONS
    assert sum(int(cell.removesuffix("%")) for cell in cells[3:]) == pytest.approx(100, abs=4)


def test_model_in_process_says_the_same_as_the_server(pictures, server, client_model_dir, tmp_path):
    portrait = pictures / "portrait.jpg"
    asked = run(portrait, "--server", server, cwd=tmp_path)
    loaded = run(portrait, "--model-dir", client_model_dir, cwd=tmp_path)
    assert asked[:2] == loaded[:2]
    assert loaded[2] == "newest   version 1\n"


def test_annotated_copies_show_boxes_and_leave_the_originals(pictures, server, tmp_path):
    before = hash_files(pictures)
    copies = tmp_path / "copies"
    arguments = (pictures, "--server", server, "--annotate", copies)
    code, _, _ = run(*arguments, cwd=tmp_path)
    assert code == 1
    assert hash_files(pictures) == before
    assert set(hash_files(copies)) == {"portrait.jpg", "more/lying.png", "empty.png"}
    for name in ("portrait.jpg", "more/lying.png"):
        original, copy = faces.read_image(pictures / name), faces.read_image(copies / name)
        assert copy.shape == original.shape == (600, 512, 3)  # upright
        changed = np.abs(copy.astype(int) - original).max(axis=2) > 60
        # The box's four sides, the label above it; nothing within it or far from it.
        box = boxes.PORTRAIT
        left, right = box.x, box.x + box.width
        assert changed[box.y - 6 : box.y + 6, left:right].any(axis=0).mean() > 0.8
        assert changed[box.y : box.y + box.height, left - 6 : left + 6].any(axis=1).mean() > 0.8
        assert changed[box.y : box.y + box.height, right - 6 : right + 6].any(axis=1).mean() > 0.8
        assert changed[box.y + 20 : box.y + box.height - 20, left + 20 : right - 20].mean() < 0.01
        assert changed[450:].mean() < 0.05
    # Again: the copies are written anew, and nothing else is left there.
    first = hash_files(copies)
    assert run(*arguments, cwd=tmp_path)[0] == 1
    assert hash_files(copies) == first


def test_copies_within_the_folder_are_no_pictures_of_the_next_run(pictures, server, tmp_path):
    for _ in range(2):
        arguments = (pictures, "--server", server, "--annotate", "pictures/copies")
        assert run(*arguments, cwd=tmp_path)[0] == 1
        copies = {"portrait.jpg", "more/lying.png", "empty.png"}
        assert set(hash_files(pictures / "copies")) == copies


@pytest.mark.parametrize("into", ["itself", "link", "hard link"])
def test_no_input_is_ever_overwritten(pictures, server, tmp_path, into):
    copies = tmp_path / "copies"
    if into == "itself":
        copies = pictures
    elif into == "link":
        copies.symlink_to(pictures)
    else:
        copies.mkdir()
        os.link(pictures / "portrait.jpg", copies / "portrait.jpg")
    before = hash_files(pictures)
    code, output, errors = run(
        pictures / "portrait.jpg", "--server", server, "--annotate", copies, cwd=tmp_path
    )
    assert code == 2
    assert "expected a folder that overwrites no input, got" in errors
    assert output == ""
    assert hash_files(pictures) == before


def test_two_files_of_one_name_are_not_written_over_each_other(pictures, server, tmp_path):
    shutil.copy(pictures / "portrait.jpg", tmp_path / "portrait.jpg")
    both = (pictures / "portrait.jpg", tmp_path / "portrait.jpg")
    code, _, errors = run(*both, "--server", server, "--annotate", "copies", cwd=tmp_path)
    assert code == 2
    assert "expected files of different names for copies" in errors
    assert not (tmp_path / "copies").exists()
    # The same file twice is one.
    code, output, _ = run(both[0], both[0], "--server", server, "--json", cwd=tmp_path)
    assert (code, len(output.splitlines())) == (0, 1)


def test_copy_that_cannot_be_written_is_reported_and_the_others_are(pictures, server, tmp_path):
    copies = tmp_path / "copies"
    (copies / "portrait.jpg").mkdir(parents=True)  # in the way
    code, output, errors = run(pictures, "--server", server, "--annotate", copies, cwd=tmp_path)
    assert code == 1
    assert "portrait.jpg: expected to write the annotated copy, got Is a directory" in errors
    assert set(hash_files(copies)) == {"more/lying.png", "empty.png"}
    assert str(pictures / "portrait.jpg") in output  # its faces are told all the same


def test_server_that_is_gone_ends_it_with_what_was_done(pictures, client_model_dir, tmp_path):
    """The first file is answered for, at the second the server refuses."""
    handler = plain_server.PredictHandler(str(client_model_dir / "1"))
    refuse = plain_server.abort(plain_server.grpc.StatusCode.NOT_FOUND, "no such model")
    handler.faults = [lambda _: None, refuse]
    with plain_server.serve(handler) as address:
        portraits = (pictures / "portrait.jpg", pictures / "more" / "lying.png")
        code, output, errors = run(*portraits, "--server", address, cwd=tmp_path)
    assert code == 1
    assert address in errors
    assert "no such model" in errors
    assert "portrait.jpg" in output
    assert "lying.png" not in output


def test_yunet_may_find_the_faces(pictures, server, tmp_path):
    tiny_yunet.write(tmp_path / "tiny.onnx")
    image = np.zeros((320, 320, 3), np.uint8)
    image[96:128, 160:192] = 255
    cv2.imwrite(str(tmp_path / "square.png"), image)
    code, output, _ = run(
        *("--json", "--server", server, "--detector", "yunet", "tiny.onnx", "square.png"),
        cwd=tmp_path,
    )
    assert code == 0
    (face,) = json.loads(output)["faces"]
    assert face["box"] == {"x": 144, "y": 96, "width": 64, "height": 32}
    # As click's own form too, and haar named.
    assert run("square.png", "--server", server, "--detector=haar", cwd=tmp_path)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument 'PATH...'"),
        (["nowhere.jpg"], 2, "'nowhere.jpg' does not exist"),
        (["a.jpg", "--server", "x:1", "--model-dir", "."], 2, "got both"),
        (["a.jpg", "--server", "x"], 2, "--server: expected a server as HOST:PORT, got 'x'"),
        (["a.jpg", "--detector", "eyes"], 2, "--detector haar or --detector yunet FILE, got"),
        (["a.jpg", "--detector", "yunet"], 2, "--detector haar or --detector yunet FILE, got"),
        (["a.jpg", "--detector", "yunet", "a.jpg"], 2, "expected YuNet as ONNX, got a.jpg"),
        (["a.jpg", "--root-certificates", "a.jpg"], 2, "expected --server with"),
        (["a.jpg", "--annotate", "a.jpg"], 2, "'a.jpg' is a file"),
        (["folder", "--server", "x:1"], 1, "expected pictures, got folders without any"),
        (["a.jpg", "--model-dir", "folder"], 1, "expected a SavedModel, or versions of one"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(tmp_path, arguments, code, message):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "folder").mkdir()
    got, output, errors = run(*arguments, cwd=tmp_path)
    assert message in errors
    assert (got, output) == (code, "")


def test_names_of_any_bytes_are_written(client_portrait, server, tmp_path):
    name = os.fsdecode(b"\xff\xc3\xa4 portrait.jpg")
    shutil.copy(client_portrait, tmp_path / name)
    code, output, _ = run(".", "--server", server, "--json", "--annotate", "copies", cwd=tmp_path)
    assert code == 0
    assert json.loads(output)["file"] == name
    assert (tmp_path / "copies" / name).exists()
    assert run(".", "--server", server, cwd=tmp_path / "copies")[0] in (0, 1)


def test_photographs_are_listed_in_order_without_links_to_folders(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c/d.tif", "c/e.gif", "f.jpg/g.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c" / "up").symlink_to(tmp_path)  # would never end
    listed = photographs.find([tmp_path])
    assert [str(one.name) for one in listed] == ["a.jpeg", "b.PNG", "c/d.tif", "f.jpg/g.webp"]
    assert photographs.find([tmp_path / "c" / "e.gif"])[0].name.name == "e.gif"


def test_a_folder_within_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
    for name in ("a.png", "locked/b.png", "z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    read_folder = pathlib.Path.iterdir

    def refuse(folder):  # as for anyone but root
        if folder.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return read_folder(folder)

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    listed = photographs.find([tmp_path])
    assert [str(one.name) for one in listed] == ["a.png", "locked", "z.png"]
    assert list(photographs.plan_copies(listed, tmp_path / "to")) == [
        tmp_path / "a.png",
        tmp_path / "z.png",
    ]
    (result,) = predict.predict([listed[1]], None, None, {})
    assert result.problem == (
        f"{tmp_path / 'locked'}: expected a readable folder, got Permission denied"
    )
    with pytest.raises(PermissionError):
        photographs.find([tmp_path / "locked"])


def test_a_copy_of_a_size_that_its_format_cannot_hold_is_reported(tmp_path):
    image = np.zeros((8, 16_400, 3), np.uint8)
    error = predict._write_copy(image, [], tmp_path / "wide.webp")
    assert error.endswith("expected a size that .webp can hold, got 16400x8")
    assert not list(tmp_path.iterdir())


MEASURE = """
import resource, subprocess, sys
result = subprocess.run(sys.argv[1:], capture_output=True, text=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(result.returncode, usage.ru_utime + usage.ru_stime)
"""


def measure_cpu(*arguments) -> float:
    """Returns the seconds of CPU that a command took, the best of three."""
    command = [sys.executable, "-c", MEASURE, commands.BIN / "muwnet-fer", *map(str, arguments)]
    seconds = []
    for _ in range(3):
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        code, value = output.split()
        assert code == "0"
        seconds.append(float(value))
    return min(seconds)


def test_help_and_a_first_prediction_take_less_than_a_second_of_cpu(client_portrait, server):
    assert measure_cpu("predict", "--help") < 0.5
    assert measure_cpu("predict", client_portrait, "--server", server) < 1


def test_annotated_photographs_have_the_sizes_and_boxes_looked_at(server, tmp_path):
    media = os.environ.get("MUWNET_MEDIA")
    if not media:
        pytest.skip("MUWNET_MEDIA is not set")
    shapes = {"obama-480p.jpg": (480, 853), "two_people.jpg": (661, 1126)}
    code, output, _ = run(
        *(media, "--server", server, "--json", "--annotate", "copies"), cwd=tmp_path
    )
    assert code == 0
    assert len(output.splitlines()) == 2
    for line in map(json.loads, output.splitlines()):
        name = pathlib.Path(line["file"]).name
        found = [faces.Box(**face["box"]) for face in line["faces"]]
        boxes.assert_near(found, boxes.MEDIA[name])
        assert faces.read_image(tmp_path / "copies" / name).shape[:2] == shapes[name]
