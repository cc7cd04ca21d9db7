"""The trained weights that the package ships: whole, small enough, and as good as they state."""

import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.data import source as data_source
from muwnet_fer.models.muwnet import packaged_weights, weights_commands
from muwnet_fer.pipeline import profiles

LARGEST_FILE, LARGEST_TOGETHER = 7_000_000, 10_000_000  # bytes
NAMES = packaged_weights.list_names()


def test_weights_are_small_enough():
    sizes = [path.stat().st_size for path in packaged_weights.FOLDER.glob("*.npz")]
    assert len(sizes) == len(NAMES)
    assert all(size <= LARGEST_FILE for size in sizes)
    assert sum(sizes) <= LARGEST_TOGETHER


@pytest.mark.parametrize("profile", profiles.PROFILES.values(), ids=lambda of: of.name)
def test_a_profile_that_learns_from_teachers_has_them(profile):
    assert bool(profile.muwnet.distillation) == bool(profile.teachers)
    assert set(profile.teachers) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_weights_fit_the_profile_of_their_name(name):
    got = packaged_weights.read(name).config
    assert packaged_weights.find_differences(profiles.PROFILES[name].muwnet, got) == []


@pytest.mark.parametrize("name", NAMES)
def test_weights_say_where_they_come_from(name):
    manifest = packaged_weights.read(name).manifest
    assert manifest["data_md5"] in fer2013.KAGGLE_MD5
    assert len(manifest["commit"]) == 40  # of a clean checkout
    assert manifest["seed"] is not None
    assert manifest["hardware"]
    for split in (fer2013.PUBLIC_TEST, fer2013.PRIVATE_TEST):
        accuracy = manifest["figures"][split]["accuracy"]
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_reach_what_they_state(name, fer2013_csv):
    weights = packaged_weights.read(name)
    rows = [
        row
        for row in data_source.read_rows(data_source.find([fer2013_csv]))
        if row.split == fer2013.PUBLIC_TEST
    ]
    faces, labels = (np.stack([getattr(row, of) for row in rows]) for of in ("image", "emotion"))
    module = packaged_weights.load(weights)
    answers = np.concatenate(
        [
            module.predict_faces(tf.constant(batch))["probabilities"].numpy().argmax(axis=1)
            for batch in np.array_split(faces, 16)
        ]
    )
    stated = weights.manifest["figures"][fer2013.PUBLIC_TEST]["accuracy"]["value"]
    assert (answers == labels).mean() == pytest.approx(stated, abs=weights_commands.TOLERANCE)
