"""What is served where no model is named: the best that there is, and which that is."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from muwnet_fer.models.muwnet import packaged_weights
from muwnet_fer.pipeline import output_folder, served_model


@pytest.fixture(autouse=True)
def no_packaged_weights(monkeypatch, tmp_path):
    """Whatever the package holds."""
    set_packaged(monkeypatch, tmp_path / "no weights")


def set_packaged(monkeypatch, folder):
    monkeypatch.setattr(packaged_weights, "FOLDER", folder)
    # list_names took the package's folder as its default once and for all.
    monkeypatch.setattr(packaged_weights.list_names, "__defaults__", (folder,))


def push(output: pathlib.Path, lineage: str, version: int) -> pathlib.Path:
    folder = output_folder.claim(output / lineage, lineage)
    path = folder.serving_model / str(version)
    path.mkdir(parents=True)
    os.utime(path, (version, version))
    return folder.serving_model


def test_fer2013s_lineage_comes_first(tmp_path):
    push(tmp_path, "faces", 30)
    fer2013 = push(tmp_path, "fer2013", 9)
    push(tmp_path, "fer2013", 10)
    push(tmp_path, "sample", 40)
    served = served_model.choose_model_dir(tmp_path)
    assert served.base_path == fer2013
    assert served.newest == fer2013 / "10"
    assert served.description == "newest version 10, pushed by lineage fer2013"
    assert not served.is_sample


def test_other_real_lineage_that_pushed_last_comes_second(tmp_path):
    push(tmp_path, "early", 30)
    late = push(tmp_path, "late", 31)
    push(tmp_path, "sample", 40)
    (tmp_path / "fer2013" / "serving_model" / ".temporary").mkdir(parents=True)
    (tmp_path / "fer2013" / "lineage.json").write_text('{"lineage": "fer2013"}')  # pushed nothing
    (tmp_path / "damaged" / "serving_model" / "99").mkdir(parents=True)
    (tmp_path / "damaged" / "lineage.json").write_text("")
    served = served_model.choose_model_dir(tmp_path)
    assert served.base_path == late
    assert served.description == "newest version 31, pushed by lineage late"


def test_samples_model_comes_last_and_warns(tmp_path):
    sample = push(tmp_path, "sample", 5)
    served = served_model.choose_model_dir(tmp_path)
    assert (served.base_path, served.is_sample) == (sample, True)
    assert "lineage sample (warning: it knows drawn faces only" in served.description


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_to_serve_says_what_to_do(tmp_path, exists):
    output = tmp_path / "output"
    if exists:
        output.mkdir()
    with pytest.raises(served_model.NoModelError, match=f"under {output} .*muwnet-fer run"):
        served_model.choose_model_dir(output)


def test_packaged_weights_of_best_accuracy_come_before_the_sample(tmp_path, monkeypatch):
    weights_folder = tmp_path / "weights"
    set_packaged(monkeypatch, weights_folder)
    for name, accuracy in (("good", 0.7), ("best", 0.75), ("unmeasured", None)):
        write_weights(weights_folder, name, accuracy)
    write_weights(weights_folder, "trained on it", 0.99, public_test_contaminated=True)
    output = tmp_path / "output"
    push(output, "sample", 5)
    served = served_model.choose_model_dir(output)
    assert served.description == "packaged weights best"
    assert served.base_path.parent.parent == output
    assert (served.newest / "saved_model.pb").is_file()
    assert (served.newest / packaged_weights.SAVED_MODEL_MANIFEST).is_file()
    assert [path.name for path in served.base_path.iterdir()] == ["1"]
    # The second time it is there already.
    before = (served.newest / "saved_model.pb").stat().st_mtime_ns
    assert served_model.choose_model_dir(output) == served
    assert (served.newest / "saved_model.pb").stat().st_mtime_ns == before
    # Other weights of that name are not taken for these.
    write_weights(weights_folder, "best", 0.75, seed=2)
    again = served_model.choose_model_dir(output)
    assert again.base_path != served.base_path
    assert again.newest.is_dir()


def write_weights(folder, name, accuracy, seed=1, **facts):
    import dataclasses

    import keras

    from muwnet_fer.models.muwnet import model as muwnet_model
    from muwnet_fer.pipeline import profiles

    config = profiles.PROFILES["smoke"].muwnet
    keras.utils.set_random_seed(seed)
    arrays = [np.array(a) for a in muwnet_model.build_muwnet(config).get_weights()]
    manifest = {"muwnet": dataclasses.asdict(config), "temperature": 1.0, **facts}
    if accuracy is not None:
        # PrivateTest would choose another one.
        splits = {"public_test": accuracy, "private_test": 1 - accuracy}
        manifest["figures"] = {split: {"accuracy": {"value": of}} for split, of in splits.items()}
    packaged_weights.write(folder, name, packaged_weights.Weights(manifest, arrays, ""))


def test_choosing_imports_neither_tfx_nor_tensorflow():
    script = (
        "import sys; import muwnet_fer.pipeline.served_model; "
        "print([m for m in ('tfx', 'tensorflow', 'apache_beam') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr
