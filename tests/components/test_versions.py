"""versions: which version a server takes, and whether it is a given model."""

import shutil

import pytest

from muwnet_fer.components.atomic_pusher import versions


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data").write_bytes(b"weights")
    return folder


def test_newest_is_by_number_and_versions_only(tmp_path):
    assert versions.find_newest(tmp_path / "nowhere") is None
    assert versions.find_newest(tmp_path) is None
    for name in ("9", "10", "99.tmp", "latest"):
        (tmp_path / name).mkdir()
    assert versions.find_newest(tmp_path) == tmp_path / "10"


def test_model_is_newest_only_byte_by_byte(tmp_path, model):
    serving = tmp_path / "serving_model"
    assert not versions.is_newest(model, serving)
    shutil.copytree(model, serving / "1")
    assert versions.is_newest(model, serving)
    (serving / "1" / "variables" / "variables.data").write_bytes(b"changed")
    assert not versions.is_newest(model, serving)
    (serving / "1" / "variables" / "variables.data").unlink()
    assert not versions.is_newest(model, serving)


def test_an_older_version_with_the_same_bytes_does_not_count(tmp_path, model):
    serving = tmp_path / "serving_model"
    shutil.copytree(model, serving / "1")
    shutil.copytree(model, serving / "2")
    (serving / "2" / "saved_model.pb").write_bytes(b"another")
    assert not versions.is_newest(model, serving)
