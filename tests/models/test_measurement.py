"""What a manifest states is held against what is measured again."""

import math

import pytest

from muwnet_fer.models.muwnet import measurement

STATED = {"private_test": {"accuracy": {"value": 0.7}, "f1": {"disgust": None}}}


def change(value: float | None) -> dict:
    return {**STATED, "private_test": {**STATED["private_test"], "accuracy": {"value": value}}}


@pytest.mark.parametrize("got", [0.7, 0.7004, 0.6996])
def test_figures_within_the_tolerance_are_the_same(got):
    assert measurement.find_differences(STATED, change(got), 0.0005) == []


@pytest.mark.parametrize("got", [0.7006, 0.6994, math.nan])
def test_other_figures_are_named(got):
    (difference,) = measurement.find_differences(STATED, change(got), 0.0005)
    assert difference == f"private_test accuracy value: stated 0.70000, got {got:.5f}"


def test_a_figure_that_is_missing_is_named():
    (difference,) = measurement.find_differences(STATED, change(None), 0.0005)
    assert difference == "private_test accuracy value: stated 0.7, got None"
