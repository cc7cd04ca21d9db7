"""What reports are drawn from, without a pipeline: few faces, made-up predictions."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from muwnet_fer.components.fer2013_example_gen import executor as example_gen
from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import run_facts
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013, rows

_ROWS = {"train": 70, "public_test": 21, "private_test": 280}


@pytest.fixture(scope="session")
def report_examples(tmp_path_factory) -> pathlib.Path:
    """Random faces; row 1 of train is of one grey level, row 3 is row 2 with another label, and the
    first of private_test is row 0 of train, its eighth the first of public_test.
    """
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(3)
    number, faces = 0, []
    for split, count in _ROWS.items():
        writer = example_gen.SplitWriter(str(folder / f"Split-{split}"), count)
        for index in range(count):
            image = random.integers(0, 256, (48, 48), np.uint8)
            if split == "train" and index == 1:
                image[:] = 7
            if split == "train" and index == 3:
                image = faces[2]
            if split == "private_test" and index == 0:
                image = faces[0]
            if split == "private_test" and index == 7:
                image = faces[_ROWS["train"]]
            faces.append(image)
            seen = split == "private_test" and index == 0
            row = rows.Row(number, number % 7, image, split)
            writer.write(example_gen.row_to_example(row, seen or split == "train"))
            number += 1
        writer.close()
    return folder


def make_predictions(seed: int, accuracy: float) -> predictor_artifacts.PredictedSplit:
    """Predictions for the private_test of `report_examples`, right in some `accuracy` of them."""
    random = np.random.default_rng(seed)
    count, first = _ROWS["private_test"], _ROWS["train"] + _ROWS["public_test"]
    numbers = np.arange(first, first + count)
    labels = numbers % 7
    answers = np.where(random.random(count) < accuracy, labels, random.integers(0, 7, count))
    logits = random.normal(0, 1, (count, 7)) + 3 * np.eye(7)[answers]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ten_views = 0.5 * probabilities + 0.5 / 7
    seen = (np.arange(count) == 0).astype(np.int64)
    return predictor_artifacts.PredictedSplit(
        numbers, labels, seen, probabilities.astype(np.float32), ten_views.astype(np.float32)
    )


@pytest.fixture
def write_sources(report_examples, tiny_config, tmp_path):
    """Returns a function that makes Sources from predictions, and changes of the manifest."""

    def write(predictions: predictor_artifacts.PredictedSplit, **changes):
        folder = tmp_path / f"sources{len(list(tmp_path.iterdir()))}"
        for name in ("predictions", "model/assets.extra", "model_run"):
            (folder / name).mkdir(parents=True)
        predictor_artifacts.write(
            str(folder / "predictions"), [(fer2013.PRIVATE_TEST, predictions)]
        )
        manifest = {
            "data_md5": next(iter(fer2013.KAGGLE_MD5)),
            "lineage": "fer2013",
            "profile": "cpu",
            "rows": _ROWS,
            "bad_rows_set_aside": 0,
            "source_fingerprint": "0123456789abcdef",
            "warm_start": None,
            "teachers": [],
            "commit": "c" * 40,
            "parameters": 1_109,
            "seed": 5,
            "epochs": 3,
            "best_epoch": 2,
            "public_test_accuracy": 0.5,
            "public_test_contaminated": False,
            "constant_images_left_out": 1,
            "resumed_after": [1],
            "training_seconds": 6,
            "hardware": "2 cores",
            "temperature": 1.25,
            "muwnet": dataclasses.asdict(tiny_config),
            **changes,
        }
        history = {
            "accuracy": [0.2, 0.4, 0.5],
            "val_accuracy": [0.3, 0.5, 0.4],
            "loss": [1.9, 1.5, 1.2],
            "val_loss": [1.8, 1.4, 1.5],
            "learning_rate": [0.1, 0.1, 0.01],
            "seconds": [2, 2, 2],
        }
        (folder / "model/assets.extra/muwnet.json").write_text(json.dumps(manifest))
        (folder / "model_run/history.json").write_text(json.dumps({"history": history}))
        return report_sources.Sources(
            examples=str(report_examples),
            model=str(folder / "model"),
            model_run=str(folder / "model_run"),
            predictions=str(folder / "predictions"),
            blessed=True,
            pushed_version="17",
        )

    return write


def make_run(number: int, **changes) -> run_facts.RunFacts:
    """A run's facts; `number` orders runs by time."""
    facts = run_facts.RunFacts(
        run_id=f"20260101-00000{number}-000000",
        started=f"2026-01-01T00:00:0{number}+00:00",
        lineage="fer2013",
        profile="cpu",
        data_md5="0" * 32,
        data_name=None,
        row_counts=_ROWS,
        bad_rows=0,
        commit=None,
        exit_code=0,
    )
    return dataclasses.replace(facts, **changes)
