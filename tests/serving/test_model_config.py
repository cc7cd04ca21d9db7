"""TensorFlow Serving's config file: what it says is taken, what it refuses is refused."""

import pathlib

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from muwnet_fer.serving.server import errors, model_config

FULL = """
model_config_list {
  config {
    name: "muwnet" base_path: "/models/muwnet" model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 5 }
  }
  config { name: "other" base_path: "/models/other" model_platform: "tensorflow" }
  config {
    name: "two" base_path: "/models/two" model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
  }
  config {
    name: "all" base_path: "/models/all" model_platform: "tensorflow"
    model_version_policy { all {} }
  }
}
"""
THERE = {version: pathlib.Path(str(version)) for version in (2, 3, 4, 10)}


def write(tmp_path, text):
    file = tmp_path / "models.config"
    file.write_text(text)
    return file


def test_what_tensorflow_serving_reads_is_read(tmp_path):
    text_format.Parse(FULL, model_server_config_pb2.ModelServerConfig())  # is one of theirs
    models = model_config.read(write(tmp_path, FULL))
    assert list(models) == ["muwnet", "other", "two", "all"]
    assert models["muwnet"].base_path == pathlib.Path("/models/muwnet")
    assert models["muwnet"].labels == {"stable": 3, "canary": 5}
    assert models["muwnet"].choose(THERE) == {3}
    assert models["muwnet"].find_absent(THERE) == (
        "Version 5 of servable muwnet not found under /models/muwnet"
    )
    assert models["other"].choose(THERE) == {10}
    assert models["two"].choose(THERE) == {4, 10}
    assert models["all"].choose(THERE) == set(THERE)
    assert models["all"].choose({}) == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "Invalid protobuf file: .*models.config"),
        ("models {}", "Invalid protobuf file"),
        ("", "Only ModelConfigList is currently supported"),
        (FULL.replace('"other"', '"muwnet"'), "Illegal to list model muwnet multiple times"),
        (FULL.replace('"/models/two"', '"models/two"'), r"absolute path .* base_path\(\)=models"),
        (FULL.replace('"tensorflow"', '"caffe"'), "unsupported platform caffe"),
        (FULL.replace('model_platform: "tensorflow"', ""), "Illegal setting neither"),
    ],
)
def test_what_tensorflow_serving_refuses_is_refused(tmp_path, text, message):
    with pytest.raises(errors.ServingError, match=message):
        model_config.read(write(tmp_path, text))


def test_versions_are_folders_named_by_numbers(tmp_path):
    for name in ("1", "20", "0003", ".4", "five", "99999999999999999999"):
        (tmp_path / name).mkdir()
    assert model_config.list_versions(tmp_path) == {
        1: tmp_path / "1",
        3: tmp_path / "0003",
        20: tmp_path / "20",
    }
    with pytest.raises(OSError):
        model_config.list_versions(tmp_path / "nowhere")


def test_folder_of_a_saved_model_is_a_version_itself(tmp_path):
    for name, version in (("17", 17), ("exported", 1)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "saved_model.pb").touch()
        assert model_config.list_versions(folder) == {version: folder}
