"""Exported weights appear whole or not at all."""

import dataclasses
import json
import pathlib
import re

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


def test_list_gives_no_accuracy_on_faces_trained_on(packaged, monkeypatch):
    figures = {key: {"value": 0.9} for key in ("accuracy", "ten_views_accuracy")}
    path = pathlib.Path(packaged)
    manifest = json.loads(path.read_text()) | {
        "parameters": 1234,
        "figures": {"public_test": figures, "private_test": figures},
    }
    folder = (path.parent,)
    monkeypatch.setattr(packaged_weights.list_names, "__defaults__", folder)
    monkeypatch.setattr(packaged_weights, "FOLDER", *folder)
    for contaminated, shown in ((False, ["90.00"] * 4), (True, ["trained on"] * 2 + ["90.00"] * 2)):
        path.write_text(json.dumps(manifest | {"public_test_contaminated": contaminated}))
        row = weights_commands.format_list().splitlines()[-1].strip()
        assert re.split(r"\s{2,}", row) == ["tiny", "1,234", *shown]


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
