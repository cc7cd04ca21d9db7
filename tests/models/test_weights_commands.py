"""Exported weights appear whole or not at all."""

import dataclasses

import keras
import numpy as np
import pytest

from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.models.muwnet import packaged_weights, weights_commands

LONGEST_PATH = 4095  # Linux's PATH_MAX, without its last 0


@pytest.fixture
def packaged(tiny_config, tmp_path) -> str:
    keras.utils.set_random_seed(3)
    arrays = muwnet_model.build_muwnet(tiny_config).get_weights()
    manifest = {"muwnet": dataclasses.asdict(tiny_config), "temperature": 1.0}
    folder = tmp_path / "weights"
    weights = packaged_weights.Weights(manifest, [np.array(array) for array in arrays], "")
    return str(packaged_weights.write(folder, "tiny", weights))


def test_export_leaves_nothing_but_the_model(packaged, tmp_path):
    weights_commands.export(packaged, str(tmp_path / "new" / "1"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["1"]
    assert (tmp_path / "new" / "1" / "saved_model.pb").is_file()


def test_export_that_fails_leaves_nothing(packaged, tmp_path):
    """TensorFlow's own error: the longest path holds the folder, and no file within."""
    parent = tmp_path
    while (room := LONGEST_PATH - len(str(parent)) - len("/.12345678/1/")) > 100:
        parent = parent / ("x" * min(room - 1, 200))
    with pytest.raises(packaged_weights.WeightsError, match="cannot write"):
        weights_commands.export(packaged, str(parent / "1"))
    assert list(parent.iterdir()) == []


def test_export_into_a_full_folder_keeps_what_is_there(packaged, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "precious").write_text("mine")
    with pytest.raises(OSError, match="1"):
        weights_commands.export(packaged, str(tmp_path / "1"))
    assert (tmp_path / "1" / "precious").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "weights"]
