"""Two runs' models on the same faces: paired differences, McNemar's test, disagreements."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sklearn_metrics

from muwnet_fer.components.report import paired, site
from muwnet_fer.components.report.pages import comparison
from muwnet_fer.tests import chromium
from muwnet_fer.tests.components import conftest as made

FIRST = made.make_predictions(seed=1, accuracy=0.6)
SECOND = made.make_predictions(seed=2, accuracy=0.8)


def compare(write_sources, first, second):
    return comparison.collect(
        dataclasses.replace(write_sources(second), compared=write_sources(first))
    )


def answer(split) -> np.ndarray:
    return split.probabilities.argmax(axis=1)


def test_differences_are_those_of_the_predictions(write_sources):
    facts = compare(write_sources, FIRST, SECOND)
    right = [answer(split) == split.labels for split in (FIRST, SECOND)]
    assert facts["accuracy"]["first"] == pytest.approx(right[0].mean())
    assert facts["accuracy"]["second"] == pytest.approx(right[1].mean())
    only_first, only_second = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert facts["accuracy"]["change"]["value"] == pytest.approx(
        (only_second - only_first) / len(right[0])
    )
    expected = scipy.stats.binomtest(int(only_first), int(only_first + only_second)).pvalue
    assert facts["accuracy"]["p_value"] == pytest.approx(expected)
    f1 = [
        sklearn_metrics.f1_score(split.labels, answer(split), average=None, labels=range(7))
        for split in (FIRST, SECOND)
    ]
    assert [of["first"] for of in facts["f1"].values()] == pytest.approx(list(f1[0]))
    assert [of["second"] for of in facts["f1"].values()] == pytest.approx(list(f1[1]))
    assert facts["macro_f1"]["change"]["value"] == pytest.approx(f1[1].mean() - f1[0].mean())
    assert len(facts["disagreements"]["mended"]) == only_second
    assert len(facts["disagreements"]["spoilt"]) == only_first


def test_intervals_are_paired():
    """Of the same answers but for few, the difference is far surer than each accuracy alone."""
    random = np.random.default_rng(4)
    first = random.random(3_000) < 0.7
    second = first.copy()
    second[np.flatnonzero(~first)[:30]] = True
    change = paired.compare_accuracy(first, second).change
    assert change.value == pytest.approx(0.01)
    assert 0.006 < change.low < change.value < change.high < 0.014


def test_the_interval_of_no_difference_holds_zero_19_times_of_20():
    random, held = np.random.default_rng(5), 0
    for _ in range(200):
        first, second = random.random((2, 400)) < 0.7
        change = paired.compare_accuracy(first, second).change
        held += change.low <= 0 <= change.high
    assert 180 <= held <= 199


def test_few_faces_answered_alike_are_no_certainty():
    right = np.ones(10, bool)
    change = paired.compare_accuracy(right, right).change
    assert change.low < -0.1 < change.value == 0 < 0.1 < change.high
    change = paired.compare_accuracy(~right[:1], right[:1]).change
    assert -1 <= change.low < change.value == change.high == 1


def test_equal_models_differ_in_nothing(write_sources):
    facts = compare(write_sources, FIRST, FIRST)
    change = facts["accuracy"]["change"]
    assert change["value"] == 0
    assert -0.02 < change["low"] < 0 < change["high"] < 0.02
    assert facts["accuracy"]["p_value"] == 1.0
    assert not any(of["moved"] for of in facts["f1"].values())
    assert facts["disagreements"] == {"mended": [], "spoilt": [], "both_wrong": []}


def test_models_of_other_faces_are_refused(write_sources):
    other = dataclasses.replace(SECOND, rows=SECOND.rows + 1)
    with pytest.raises(paired.ComparisonError, match="judged on the same faces, got other rows"):
        compare(write_sources, FIRST, other)


def test_other_data_is_compared_only_where_the_faces_are_the_same(write_sources):
    first, second = write_sources(FIRST, data_md5="1" * 32), write_sources(SECOND)
    facts = comparison.collect(dataclasses.replace(second, compared=first))
    assert facts["accuracy"]["rows"] == len(FIRST.rows)
    pruned = dataclasses.replace(first, examples=None)
    with pytest.raises(
        paired.ComparisonError, match="got data of MD5 1+ and .* Examples that were"
    ):
        comparison.collect(dataclasses.replace(second, compared=pruned))
    changed = dataclasses.replace(first)
    splits = {**first.splits}
    images = splits["private_test"].images
    splits["private_test"] = dataclasses.replace(
        splits["private_test"], images=[*images[:-1], images[0]]
    )
    changed.__dict__["splits"] = splits  # what is cached of the property
    with pytest.raises(paired.ComparisonError, match="with other pixels in private_test"):
        comparison.collect(dataclasses.replace(second, compared=changed))


def test_a_run_without_predictions_is_refused(write_sources):
    second = write_sources(SECOND)

    def expect_refused(run, message):
        first = dataclasses.replace(write_sources(FIRST), predictions=None, run=run)
        with pytest.raises(paired.ComparisonError, match=message):
            comparison.collect(dataclasses.replace(second, compared=first))

    run = made.make_run(1)
    expect_refused(run, f"got {run.run_id}, which ended before it")
    measured = dataclasses.replace(run, figures={"accuracy": 0.5, "macro_f1": 0.5})
    expect_refused(measured, f"got {run.run_id}, whose predictions were pruned")


@pytest.fixture
def compared(write_sources):
    return dataclasses.replace(
        write_sources(SECOND),
        run=made.make_run(2),
        compared=dataclasses.replace(write_sources(FIRST), run=made.make_run(1)),
    )


def test_the_page_shows_faces_and_runs(compared, tmp_path):
    site.write(compared, tmp_path / "site")
    page = (tmp_path / "site" / "comparison.html").read_text()
    assert made.make_run(1).run_id in page
    (face, *_) = comparison.collect(compared)["disagreements"]["mended"]
    assert f"row {face['row']}" in page
    assert 'href="comparison.html"' in (tmp_path / "site" / "index.html").read_text()


@chromium.needed
@pytest.mark.parametrize("size", chromium.SIZES)
def test_differences_in_a_browser(compared, tmp_path, size):
    site.write(compared, tmp_path / "site")
    url = (tmp_path / "site" / "comparison.html").as_uri()
    with chromium.open_page(url, size=size) as page:
        chromium.check_width(page)
        chromium.keep(page, f"comparison-{size}")
        faces = page.locator(".faces img")
        assert faces.count() > 2
        for face in faces.all():
            assert face.evaluate("image => image.complete && image.naturalWidth > 0")
            assert "row" in face.get_attribute("alt")
        assert page.locator("svg.plot").bounding_box()["width"] >= 400
