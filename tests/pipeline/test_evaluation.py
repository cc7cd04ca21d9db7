"""The gates as TFMA reads them: overall slice only; the change gate only with a baseline."""

import pathlib
import re

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import config_pb2

from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import evaluation, profiles

GATES = profiles.PROFILES["cpu"].gates
GATED = {"accuracy", *(f"f1_{emotion}" for emotion in fer2013.EMOTIONS)}


def read_thresholds(has_baseline: bool) -> dict:
    eval_config = tfma.utils.update_eval_config_with_defaults(
        evaluation.make_eval_config(GATES, "fingerprint"),
        has_baseline=has_baseline,
        rubber_stamp=True,  # as TFX's Evaluator calls it
    )
    return metric_specs.metric_thresholds_from_metrics_specs(eval_config.metrics_specs, eval_config)


@pytest.mark.parametrize("name", ["cpu", "cpu-long", "paper-1"])
def test_floors_are_the_documented_ones(name):
    readme = pathlib.Path(__file__).parents[2].joinpath("README.md").read_text()
    (row,) = re.findall(rf"^\| `{name}` \|.*$", readme, re.M)
    documented = {figure: float(floor) for figure, floor in re.findall(r"(\w+) (0?\.\d+)", row)}
    gates = profiles.PROFILES[name].fer2013_gates or profiles.PROFILES[name].gates
    assert documented == {"accuracy": gates.accuracy, **gates.f1}


def test_smoke_asks_for_the_same_of_every_class():
    assert set(profiles.PROFILES["smoke"].sample_gates.f1.values()) == {0.60}


def test_every_gate_is_on_the_overall_slice_alone():
    for thresholds in read_thresholds(has_baseline=True).values():
        for slicing_spec, _ in thresholds:
            assert slicing_spec == config_pb2.SlicingSpec()


def test_without_a_baseline_only_the_floors_stand():
    thresholds = read_thresholds(has_baseline=False)
    assert {key.name for key in thresholds} == GATED
    for key, [(_, threshold)] in thresholds.items():
        floor = GATES.accuracy if key.name == "accuracy" else GATES.f1[key.name.removeprefix("f1_")]
        assert threshold.lower_bound.value == floor
        assert not key.is_diff


def test_with_a_baseline_no_class_may_fall():
    drops = {
        key.name: threshold.absolute.value
        for key, [(_, threshold)] in read_thresholds(has_baseline=True).items()
        if key.is_diff and key.model_name == "candidate"
    }
    assert drops == {f"f1_{e}": -0.10 if e == "disgust" else -0.03 for e in fer2013.EMOTIONS}


def test_slices():
    slicing_specs = evaluation.make_eval_config(GATES, "fingerprint").slicing_specs
    assert [list(spec.feature_keys) for spec in slicing_specs] == [
        [],
        ["emotion"],
        ["brightness_bucket"],
        ["contrast_bucket"],
        ["sharpness_bucket"],
        ["seen_in_training"],
    ]


def test_an_edit_of_the_metrics_changes_the_evaluators_key():
    first = evaluation.make_eval_config(GATES, "one").SerializeToString(deterministic=True)
    assert first != evaluation.make_eval_config(GATES, "two").SerializeToString(deterministic=True)
    assert first == evaluation.make_eval_config(GATES, "one").SerializeToString(deterministic=True)
