"""AnomalyGate: Examples through the real StatisticsGen and ExampleValidator, then the gate."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.types import artifact_utils, standard_artifacts

from muwnet_fer.components.anomaly_gate import executor, split_checks
from muwnet_fer.components.fer2013_example_gen import executor as example_gen
from muwnet_fer.data import fer2013, image_statistics, source, synthetic
from muwnet_fer.data.rows import Row
from muwnet_fer.pipeline import pipeline, split_thresholds

SCHEMA = text_format.Parse(pipeline.SCHEMA_FILE.read_text(), schema_pb2.Schema())


def to_examples(rows: list[Row]) -> list[tf.train.Example]:
    return [example_gen.row_to_example(row, seen_in_training=True) for row in rows]


def darken(image: np.ndarray) -> np.ndarray:
    return np.where(image < 40, 0, image - 40).astype(np.uint8)


def validate(folder: pathlib.Path, splits: dict[str, list[tf.train.Example]]) -> dict[str, list]:
    """Runs StatisticsGen and ExampleValidator; returns the gate's input."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    for split in splits:
        path = pathlib.Path(artifact_utils.get_split_uri([examples], split))
        path.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path / "examples.gz"), "GZIP") as writer:
            for example in splits[split]:
                writer.write(example.SerializeToString())
    schema = standard_artifacts.Schema()
    schema.uri = str(folder / "schema")
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_bytes(pipeline.SCHEMA_FILE.read_bytes())
    statistics, anomalies = (
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.ExampleAnomalies(),
    )
    statistics.uri, anomalies.uri = str(folder / "statistics"), str(folder / "anomalies")
    statistics_gen.Executor().Do(
        {"examples": [examples], "schema": [schema]},
        {"statistics": [statistics]},
        {"exclude_splits": "[]"},
    )
    example_validator.Executor().Do(
        {"statistics": [statistics], "schema": [schema]},
        {"anomalies": [anomalies]},
        {"exclude_splits": "[]"},
    )
    return {"statistics": [statistics], "schema": [schema], "anomalies": [anomalies]}


def run_gate(inputs: dict[str, list], limits=split_thresholds.THRESHOLDS) -> None:
    executor.Executor().Do(inputs, {}, {"thresholds": json.dumps(limits)})


def read_table(error: executor.AnomalyError) -> list[list[str]]:
    """Returns the cells of every anomaly, wrapped lines joined."""
    header, _, ruler, *lines = str(error).splitlines()
    width = 0
    starts = []
    for dashes in ruler.split("  "):
        starts.append(width)
        width += len(dashes) + 2
    rows = []
    for line in lines:
        cells = [line[i:j].strip() for i, j in zip(starts, [*starts[1:], None], strict=True)]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [
                f"{cell} {more}".strip() for cell, more in zip(rows[-1], cells, strict=True)
            ]
    assert header == f"{len(rows)} anomalies in the Examples"
    return rows


# === A split spoilt ===


def make_examples(count: int = 14) -> list[tf.train.Example]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 48, 48)).astype(np.uint8)
    return to_examples([Row(i, i % 7, image, fer2013.TRAIN) for i, image in enumerate(images)])


def set_label_out_of_range(feature):
    feature["emotion"].int64_list.value[0] = 7


def leave_disgust_out(feature):
    if feature["emotion"].int64_list.value[0] == 1:
        feature["emotion"].int64_list.value[0] = 3


def leave_image_out(feature):
    del feature["image"]


def set_unknown_bucket(feature):
    feature["contrast_bucket"].bytes_list.value[0] = b"q6"


def set_brightness_out_of_range(feature):
    feature["brightness"].float_list.value[0] = 300


def double_label(feature):
    feature["emotion"].int64_list.value.append(1)


def blacken(feature):
    black = Row(0, 0, np.zeros((48, 48), np.uint8), fer2013.PUBLIC_TEST)
    for key, value in example_gen.row_to_example(black, True).features.feature.items():
        if key != "emotion":
            feature[key].CopyFrom(value)


SPOILT = {
    set_label_out_of_range: ("emotion", "Unexpectedly large value: 7."),
    leave_disgust_out: ("emotion", "Expected at least 7 unique values but found only 6."),
    leave_image_out: ("image", "Column is completely missing"),
    set_unknown_bucket: ("contrast_bucket", "values missing from the schema: q6"),
    set_brightness_out_of_range: ("brightness", "Unexpectedly high value: 300>255"),
    double_label: ("emotion", "fixed value length 2 but it's not compatible with the specified"),
    blacken: ("contrast", "mean 0, expected at least 10"),
}


def spoil(change) -> list[tf.train.Example]:
    examples = make_examples()
    for example in examples:
        change(example.features.feature)
    return examples


@pytest.fixture(scope="module")
def anomalies_of_spoilt_splits(tmp_path_factory) -> list[list[str]]:
    """The gate's table, of a good split and one spoilt in every way."""
    splits = {"train": make_examples(), "public_test": make_examples()}
    splits |= {change.__name__: spoil(change) for change in SPOILT}
    inputs = validate(tmp_path_factory.mktemp("spoilt"), splits)
    with pytest.raises(executor.AnomalyError) as raised:
        run_gate(inputs)
    return read_table(raised.value)


@pytest.mark.parametrize("change", SPOILT)
def test_anomaly_stops_and_names_split_and_feature(anomalies_of_spoilt_splits, change):
    feature, found = SPOILT[change]
    rows = [row for row in anomalies_of_spoilt_splits if row[0] == change.__name__]
    assert any(row[1] == feature and found in row[3] for row in rows)


def test_only_spoilt_splits_are_in_the_table(anomalies_of_spoilt_splits):
    assert {row[0] for row in anomalies_of_spoilt_splits} == {f.__name__ for f in SPOILT}


def test_black_images_everywhere_stop(tmp_path):
    """Then no split differs from another."""
    black = spoil(blacken)
    inputs = validate(tmp_path, {"train": black, "public_test": black})
    with pytest.raises(executor.AnomalyError) as raised:
        run_gate(inputs)
    assert [row[:3] for row in read_table(raised.value)] == [
        [split, "contrast", "implausible mean"] for split in ("train", "public_test")
    ]


# === Splits that differ ===


@pytest.fixture(scope="module")
def sample_inputs(tmp_path_factory) -> dict[str, list]:
    """The sample's splits; public_test again with a class halved or the images darkened."""
    folder = tmp_path_factory.mktemp("sample")
    synthetic.synthesize(folder / "sample.csv", 3500, seed=1)
    splits = {split: [] for split in fer2013.SPLITS}
    for row in source.read_rows(source.find([folder / "sample.csv"])):
        splits[row.split].append(row)
    public_test = splits[fer2013.PUBLIC_TEST]
    for label, emotion in enumerate(fer2013.EMOTIONS):
        of_class = [row for row in public_test if row.emotion == label]
        dropped = {row.number for row in of_class[: len(of_class) // 2]}
        splits[f"halved_{emotion}"] = [row for row in public_test if row.number not in dropped]
    splits["darkened"] = [
        Row(row.number, row.emotion, darken(row.image), row.split) for row in public_test
    ]
    return validate(folder, {split: to_examples(rows) for split, rows in splits.items()})


def test_splits_with_a_class_halved_or_darkened_stop_and_the_others_do_not(sample_inputs):
    with pytest.raises(executor.AnomalyError) as raised:
        run_gate(sample_inputs)
    rows = read_table(raised.value)
    found = {split: (feature, found) for split, feature, _, found in rows}
    halved = {f"halved_{emotion}": emotion for emotion in fer2013.EMOTIONS}
    assert found.keys() == halved.keys() | {"darkened"}
    for split, emotion in halved.items():
        feature, description = found[split]
        assert feature == "emotion"
        assert f"most of all {emotion}: 7.7% of the rows, 14.3% of train's" in description
    assert found["darkened"][0] == "brightness_bucket"


def test_looser_thresholds_pass(sample_inputs):
    loose = {name: dict.fromkeys(kinds, 0.5) for name, kinds in split_thresholds.THRESHOLDS.items()}
    run_gate(sample_inputs, loose)


def test_no_threshold_compares_nothing(sample_inputs):
    run_gate(sample_inputs, {})


def test_small_csv_passes(tmp_path, small_csv):
    splits = {split: [] for split in fer2013.SPLITS}
    for row in source.read_rows(source.find([small_csv])):
        splits[row.split].append(row)
    assert [len(rows) for rows in splits.values()] == [168, 21, 21]
    run_gate(validate(tmp_path, {split: to_examples(rows) for split, rows in splits.items()}))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"smile": {"min_mean": 1}}, "in the schema .*, got 'smile'"),
        ({"emotion": {"min_mean": 1}}, "expected .* as a threshold of emotion, got 'min_mean'"),
        ({"brightness": {"infinity_norm": 1}}, "expected min_mean as a threshold of brightness"),
    ],
)
def test_thresholds_that_hold_nothing_are_refused(sample_inputs, limits, message):
    with pytest.raises(ValueError, match=message):
        run_gate(sample_inputs, limits)


# === Chance ===

FER2013_SHARES = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965]) / 28709


def draw_statistics(random, rows: int, shares) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics as StatisticsGen writes them, of random rows."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=rows)
    buckets = dict.fromkeys(
        map(fer2013.bucket_key, fer2013.STATISTICS_KEYS), (fer2013.BUCKETS, 5 * [0.2])
    )
    for name, (categories, probabilities) in {"emotion": (range(7), shares), **buckets}.items():
        feature = dataset.features.add()
        feature.path.step.append(name)
        feature.type = feature.INT if name == "emotion" else feature.STRING
        feature.string_stats.common_stats.num_non_missing = rows
        for category, count in zip(
            categories, random.multinomial(rows, probabilities), strict=True
        ):
            if count:
                feature.string_stats.rank_histogram.buckets.add(
                    label=str(category), sample_count=count
                )
    return statistics


@pytest.mark.parametrize("shares", [FER2013_SHARES, np.full(7, 1 / 7)], ids=["fer2013", "balanced"])
@pytest.mark.parametrize("rows", [21, 100, 350, 1000, 3589])
def test_random_splits_pass(rows, shares):
    random = np.random.default_rng(rows)
    passed = []
    for _ in range(400):
        train = draw_statistics(random, 8 * rows, shares)
        split = draw_statistics(random, rows, shares)
        findings = split_checks.compare(split, train, SCHEMA, split_thresholds.THRESHOLDS)
        assert len(findings) == 5
        passed.append(all(finding.passed for finding in findings))
    assert np.mean(passed) >= 0.975


# === FER2013 ===


def summarize(rows: pd.DataFrame) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.generate_statistics_from_dataframe(rows, tfdv.StatsOptions(schema=SCHEMA))


def measure(image: np.ndarray) -> dict[str, float | str]:
    statistics = image_statistics.compute_statistics(image)
    buckets = {fer2013.bucket_key(k): fer2013.bucket(k, v) for k, v in statistics.items()}
    return {**statistics, **buckets}


def list_failed(split: pd.DataFrame, train) -> set[str]:
    limits = split_thresholds.THRESHOLDS
    statistics = summarize(split)
    findings = split_checks.measure_means(statistics, limits)
    findings += split_checks.compare(statistics, train, SCHEMA, limits)
    assert len(findings) == 6
    return {finding.feature for finding in findings if not finding.passed}


@pytest.mark.real_data
def test_fer2013_passes_and_spoilt_splits_of_it_do_not(fer2013_csv):
    rows, darkened = [], []
    for row in source.read_rows(source.find([fer2013_csv])):
        rows.append({"split": row.split, "emotion": row.emotion, **measure(row.image)})
        if row.split != fer2013.TRAIN:
            darkened.append({**rows[-1], **measure(darken(row.image))})
    splits = {name: rows for name, rows in pd.DataFrame(rows).groupby("split")}
    train = summarize(splits[fer2013.TRAIN])
    for name, dark in pd.DataFrame(darkened).groupby("split"):
        split = splits[name]
        assert list_failed(split, train) == set()
        assert "brightness_bucket" in list_failed(dark, train)
        for label in range(7):
            of_class = split.index[split.emotion == label]
            halved = split.drop(of_class[: len(of_class) // 2])
            assert list_failed(halved, train) == {"emotion"}
