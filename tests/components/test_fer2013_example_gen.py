"""Fer2013ExampleGen: the Example of a row, and whole files through the real executor."""

import collections
import gzip
import hashlib
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tfx.components.example_gen import utils
from tfx.types import artifact_utils, standard_artifacts

from muwnet_fer.components.fer2013_example_gen import component, executor
from muwnet_fer.data import fer2013, quarantine, rows, source


def make_row(emotion=0, level=0, number=5):
    image = np.full((48, 48), level, np.uint8)
    return rows.Row(number, emotion, image, "train")


def exec_properties(path, **options) -> dict:
    spec = component.Fer2013ExampleGen(str(path.parent), path.name, "fingerprint", **options).spec
    return dict(spec.exec_properties)


def ingest(path, folder, **options) -> standard_artifacts.Examples:
    """Runs the executor as TFX does."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    executor.Executor().Do({}, {"examples": [examples]}, exec_properties(path, **options))
    return examples


def read_source(path) -> list[rows.Row]:
    return list(source.read_rows(source.find([path])))


def read_examples(artifact, split):
    uri = artifact_utils.get_split_uri([artifact], split)
    files = sorted(tf.io.gfile.glob(f"{uri}/*.gz"))
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
    for expected in ('"source_fingerprint": "fingerprint"', '"max_bad_rows": 0'):
        assert expected in properties["custom_config"]


def resolve_fingerprint(path) -> str:
    driver = component.Driver(None)
    resolved = driver.resolve_exec_properties(exec_properties(path), None, None)
    return resolved[utils.FINGERPRINT_PROPERTY_NAME]


def test_cache_key_is_the_content_not_the_time_stamp(tmp_path, small_csv):
    path = tmp_path / "faces.csv"
    path.write_bytes(small_csv.read_bytes())
    before = resolve_fingerprint(path)
    path.touch()
    assert resolve_fingerprint(path) == before == hashlib.md5(path.read_bytes()).hexdigest()
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"PublicTest", b"PrivateTes", 1))
    assert path.stat().st_size == stat.st_size
    assert resolve_fingerprint(path) != before


def test_every_row_becomes_an_example_of_its_split(tmp_path, small_csv):
    examples = ingest(small_csv, tmp_path / "examples")
    assert artifact_utils.decode_split_names(examples.split_names) == list(fer2013.SPLITS)
    expected = collections.defaultdict(list)
    for row in read_source(small_csv):
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
        rows.MalformedDataError, match=r"bad\.csv: 1 bad rows .*\n  .*bad\.csv row 209"
    ):
        ingest(path, tmp_path / "examples")
    assert not list(tmp_path.glob("examples/**/*.gz"))


def test_other_data_than_meant_is_refused_before_anything_is_written(tmp_path, small_csv):
    """A CSV that was replaced behind the config's back must not run under the old one's name."""
    meant = hashlib.md5(small_csv.read_bytes()).hexdigest()
    assert ingest(small_csv, tmp_path / "same", md5=meant)
    path = tmp_path / "replaced.csv"
    path.write_bytes(small_csv.read_bytes().replace(b"\n3,", b"\n4,", 1))
    with pytest.raises(rows.MalformedDataError, match=f"expected the MD5 {meant}, got .* changed"):
        ingest(path, tmp_path / "examples", md5=meant)
    assert not list(tmp_path.glob("examples/**/*.gz"))


def test_allowed_bad_rows_are_set_aside_beside_the_examples(tmp_path, small_csv):
    path = tmp_path / "bad.csv"
    lines = small_csv.read_text().splitlines()
    lines[3] = "9" + lines[3][1:]
    path.write_text("\n".join(lines) + "\n")
    examples = ingest(path, tmp_path / "examples", max_bad_rows=1)
    (line,) = (tmp_path / "examples" / quarantine.FILE_NAME).read_text().splitlines()
    assert json.loads(line)["row"] == 2
    assert json.loads(line)["raw"] == lines[3]
    numbers = [f["row"].int64_list.value[0] for f in read_examples(examples, "train")]
    assert numbers == [0, 1, *range(3, 168)]
    ingest(small_csv, tmp_path / "clean", max_bad_rows=1)
    assert not (tmp_path / "clean" / quarantine.FILE_NAME).exists()


def test_shards_and_archives_give_the_same_examples(tmp_path, small_csv):
    header, *lines = small_csv.read_text().splitlines()
    (tmp_path / "shards").mkdir()
    for number, part in enumerate((lines[:100], lines[100:])):
        text = "\n".join([header, *part]) + "\n"
        (tmp_path / "shards" / f"{number}.csv.gz").write_bytes(gzip.compress(text.encode()))
    whole = ingest(small_csv, tmp_path / "whole")
    for name, pattern in (("folder", "shards"), ("files", "shards/*")):
        parts = standard_artifacts.Examples()
        parts.uri = str(tmp_path / name)
        spec = component.Fer2013ExampleGen(str(tmp_path), pattern, "fingerprint").spec
        executor.Executor().Do({}, {"examples": [parts]}, dict(spec.exec_properties))
        for split in fer2013.SPLITS:
            found, expected = (list(read_examples(each, split)) for each in (parts, whole))
            assert found == expected


def test_a_folder_of_images_becomes_examples_split_by_the_fraction(tmp_path):
    """The same through the driver's key, which knows the images and not the fraction."""
    folder = tmp_path / "faces"
    for number in range(42):
        split = "train" if number < 14 else "test"
        path = folder / split / fer2013.EMOTIONS[number % 7] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8))
    examples = ingest(folder, tmp_path / "examples", private_fraction=0.5)
    expected = collections.defaultdict(list)
    for row in source.read_rows(source.find([folder], 0.5)):
        expected[row.split].append((row.number, row.emotion))
    for split in fer2013.SPLITS:
        found = [
            (feature["row"].int64_list.value[0], feature["emotion"].int64_list.value[0])
            for feature in read_examples(examples, split)
        ]
        assert found == expected[split] != []
    driver = component.Driver(None)
    properties = exec_properties(folder, private_fraction=0.5)
    resolved = driver.resolve_exec_properties(properties, None, None)
    assert resolved[utils.FINGERPRINT_PROPERTY_NAME] == source.compute_md5(
        source.find([folder], 0.5)
    )


def test_long_splits_are_written_in_files_of_bounded_size(tmp_path, small_csv, monkeypatch):
    monkeypatch.setattr(executor, "_ROWS_PER_FILE", 50)
    examples = ingest(small_csv, tmp_path / "examples")
    folder = tmp_path / "examples" / "Split-train"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"data_tfrecord-{number:05}-of-00004.gz" for number in range(4)
    ]
    numbers = [f["row"].int64_list.value[0] for f in read_examples(examples, "train")]
    assert numbers == list(range(168))


@pytest.mark.real_data
def test_fer2013_is_ingested_pixel_by_pixel(tmp_path, fer2013_csv):
    examples = ingest(fer2013_csv, tmp_path / "examples")
    expected = {row.number: row for row in read_source(fer2013_csv)}
    counts, seen = collections.Counter(), collections.Counter()
    for split in fer2013.SPLITS:
        for feature in read_examples(examples, split):
            row = expected.pop(feature["row"].int64_list.value[0])
            png = np.frombuffer(feature["image"].bytes_list.value[0], np.uint8)
            assert np.array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), row.image)
            assert feature["emotion"].int64_list.value[0] == row.emotion
            assert row.split == split
            counts[split] += 1
            seen[split] += feature["seen_in_training"].int64_list.value[0]
    assert not expected
    assert counts == {"train": 28709, "public_test": 3589, "private_test": 3589}
    assert seen == {"train": 28709, "public_test": 280, "private_test": 288}
