"""Fer2013ExampleGen: the Example of a row, and whole files through the real executor."""

import collections
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tfx.components.example_gen import utils
from tfx.types import artifact_utils, standard_artifacts

from muwnet_fer.components.fer2013_example_gen import component, executor
from muwnet_fer.data import csv_file, fer2013


def make_row(emotion=0, level=0, number=5):
    image = np.full((48, 48), level, np.uint8)
    return csv_file.Row(number, emotion, image, "train")


def exec_properties(path) -> dict:
    spec = component.Fer2013ExampleGen(str(path), "fingerprint").spec
    return dict(spec.exec_properties)


def ingest(path, folder) -> standard_artifacts.Examples:
    """Runs the executor as TFX does."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    executor.Executor().Do({}, {"examples": [examples]}, exec_properties(path))
    return examples


def read_examples(artifact, split):
    uri = artifact_utils.get_split_uri([artifact], split)
    files = tf.io.gfile.glob(f"{uri}/*.gz")
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
        yield tf.train.Example.FromString(record.numpy()).features.feature


def test_example_keeps_label_zero_row_and_pixels():
    """TFX's own dict_to_example would lose the label of an angry face."""
    row = make_row(emotion=0)
    example = executor.row_to_example(row, seen_in_training=True)
    png = example.features.feature["image"].bytes_list.value[0]
    assert png.startswith(b"\x89PNG")
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), row.image
    )
    del example.features.feature["image"]
    assert example == tf.train.Example(
        features=tf.train.Features(
            feature={
                "emotion": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
                "row": tf.train.Feature(int64_list=tf.train.Int64List(value=[5])),
                "seen_in_training": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
                "brightness": tf.train.Feature(float_list=tf.train.FloatList(value=[0])),
                "contrast": tf.train.Feature(float_list=tf.train.FloatList(value=[0])),
                "sharpness": tf.train.Feature(float_list=tf.train.FloatList(value=[0])),
                "brightness_bucket": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"q1"])),
                "contrast_bucket": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"q1"])),
                "sharpness_bucket": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"q1"])),
            }
        )
    )


def test_component_names_the_exact_file_and_the_splits(tmp_path):
    properties = exec_properties(tmp_path / "faces.csv")
    assert properties["input_base"] == str(tmp_path)
    splits = json.loads(properties["input_config"])["splits"]
    assert [split["pattern"] for split in splits] == ["faces.csv"]
    splits = json.loads(properties["output_config"])["split_config"]["splits"]
    assert [split["name"] for split in splits] == ["train", "public_test", "private_test"]
    assert "fingerprint" in properties["custom_config"]


def resolve_fingerprint(path) -> str:
    driver = component.Driver(None)
    resolved = driver.resolve_exec_properties(exec_properties(path), None, None)
    return resolved[utils.FINGERPRINT_PROPERTY_NAME]


def test_cache_key_is_the_content_not_the_time_stamp(tmp_path, small_csv):
    path = tmp_path / "faces.csv"
    path.write_bytes(small_csv.read_bytes())
    before = resolve_fingerprint(path)
    path.touch()
    assert resolve_fingerprint(path) == before == csv_file.identify(path).md5
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"PublicTest", b"PrivateTes", 1))
    assert path.stat().st_size == stat.st_size
    assert resolve_fingerprint(path) != before


def test_every_row_becomes_an_example_of_its_split(tmp_path, small_csv):
    examples = ingest(small_csv, tmp_path / "examples")
    assert artifact_utils.decode_split_names(examples.split_names) == list(fer2013.SPLITS)
    expected = collections.defaultdict(list)
    for row in csv_file.read_rows(small_csv):
        expected[row.split].append((row.number, row.emotion))
    for split in fer2013.SPLITS:
        found = [
            (feature["row"].int64_list.value[0], feature["emotion"].int64_list.value[0])
            for feature in read_examples(examples, split)
        ]
        # In the file's order: the order of the training Examples is part of what a seed repeats.
        assert found == expected[split]
        assert found


def test_pixels_that_also_stand_in_train_are_marked(tmp_path):
    pixels = {name: " ".join([name] * fer2013.PIXELS) for name in "123"}
    path = tmp_path / "leak.csv"
    path.write_text(
        "emotion,pixels,Usage\n"
        f"0,{pixels['1']},Training\n"
        f"0,{pixels['1']},PublicTest\n"
        f"0,{pixels['2']},PublicTest\n"
        f"0,{pixels['2']},PrivateTest\n"
        f"0,{pixels['3']},PrivateTest\n"
        f"0,{pixels['1']},PrivateTest\n"
    )
    examples = ingest(path, tmp_path / "examples")
    seen = {
        feature["row"].int64_list.value[0]: feature["seen_in_training"].int64_list.value[0]
        for split in fer2013.SPLITS
        for feature in read_examples(examples, split)
    }
    assert seen == {0: 1, 1: 1, 2: 0, 3: 0, 4: 0, 5: 1}


def test_malformed_row_stops_before_anything_is_written(tmp_path, small_csv):
    path = tmp_path / "bad.csv"
    lines = small_csv.read_text().splitlines()
    lines[-1] = lines[-1].replace(" ", " x", 1)  # the last row of all
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        csv_file.MalformedCsvError, match=r"bad\.csv: 1 malformed rows .*\n  row 209"
    ):
        ingest(path, tmp_path / "examples")
    assert not list(tmp_path.glob("examples/**/*.gz"))


@pytest.mark.real_data
def test_fer2013_is_ingested_pixel_by_pixel(tmp_path, fer2013_csv):
    examples = ingest(fer2013_csv, tmp_path / "examples")
    rows = {row.number: row for row in csv_file.read_rows(fer2013_csv)}
    counts, seen = collections.Counter(), collections.Counter()
    for split in fer2013.SPLITS:
        for feature in read_examples(examples, split):
            row = rows.pop(feature["row"].int64_list.value[0])
            png = np.frombuffer(feature["image"].bytes_list.value[0], np.uint8)
            assert np.array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), row.image)
            assert feature["emotion"].int64_list.value[0] == row.emotion
            assert row.split == split
            counts[split] += 1
            seen[split] += feature["seen_in_training"].int64_list.value[0]
    assert not rows
    assert counts == {"train": 28709, "public_test": 3589, "private_test": 3589}
    assert seen == {"train": 28709, "public_test": 280, "private_test": 288}
