"""The site: its figures are those of the predictions, and it holds nothing from outside as HTML."""

import dataclasses
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from sklearn import calibration
from sklearn import metrics as sklearn_metrics
from tensorflow_metadata.proto.v0 import anomalies_pb2

from muwnet_fer.components.report import duplicates, exit_codes, run_facts, site
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.components.report.pages import data as data_page
from muwnet_fer.components.report.pages import evaluation, history, model_card, training
from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import output_folder, run_list
from muwnet_fer.tests.components import conftest as made

PREDICTIONS = made.make_predictions(seed=1, accuracy=0.7)
HOSTILE = '<script>alert("x")</script>|`*_'


@pytest.fixture
def sources(write_sources):
    return write_sources(PREDICTIONS)


# === Evaluation ===


def test_figures_equal_scikit_learns(sources):
    facts = evaluation.collect(sources)
    labels, guesses = PREDICTIONS.labels, PREDICTIONS.probabilities.argmax(axis=1)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, guesses, labels=range(7), zero_division=0
    )
    for label, of in enumerate(facts["classes"]):
        assert of["emotion"] == fer2013.EMOTIONS[label]
        assert of["rows"] == support[label]
        assert of["precision"]["value"] == pytest.approx(precision[label])
        assert of["recall"]["value"] == pytest.approx(recall[label])
        assert of["f1"]["value"] == pytest.approx(f1[label])
        assert of["f1"]["low"] < of["f1"]["value"] < of["f1"]["high"]
    overall = facts["overall"]
    assert overall["accuracy"]["value"] == pytest.approx((labels == guesses).mean())
    assert overall["macro F1"]["value"] == pytest.approx(f1.mean())
    assert overall["accuracy of the best two"]["value"] == pytest.approx(
        sklearn_metrics.top_k_accuracy_score(labels, PREDICTIONS.probabilities, k=2)
    )
    assert facts["confusion"] == sklearn_metrics.confusion_matrix(labels, guesses).tolist()


def test_the_pages_tables_hold_scikit_learns_figures(sources, tmp_path):
    site.write(sources, tmp_path / "site")
    page = (tmp_path / "site" / "evaluation.html").read_text()
    labels, guesses = PREDICTIONS.labels, PREDICTIONS.probabilities.argmax(axis=1)
    matrix = sklearn_metrics.confusion_matrix(labels, guesses)
    figures = sklearn_metrics.precision_recall_fscore_support(labels, guesses, zero_division=0)
    for label, emotion in enumerate(fer2013.EMOTIONS):
        found = re.findall(rf'<tr><th scope="row">{emotion}</th>(.*?)</tr>', page, re.S)
        rows = [re.findall(r"<td[^>]*>([\d.,]+)", cells) for cells in found]
        assert [str(count) for count in matrix[label]] in rows
        expected = [str(figures[3][label]), *(f"{figure[label]:.3f}" for figure in figures[:3])]
        assert expected in [row[:4] for row in rows]


def test_what_a_training_used_besides_its_data_stands_beside_its_accuracy(write_sources):
    def describe(**changes):
        published = evaluation.collect(write_sources(PREDICTIONS, **changes))["published"]
        return {of["obtained"] for of in published if of["this"]}

    assert describe() == {"PrivateTest, one view", "PrivateTest, ten views"}
    named = {"name": "others", "sha256": "0", "data_md5": "0"}
    changes = {"public_test_contaminated": True, "warm_start": named, "teachers": [named, named]}
    assert describe(**changes) == {
        f"PrivateTest, {views}; trained on PublicTest, too; began with the weights others; "
        "taught by others, others"
        for views in ("one view", "ten views")
    }


def test_slices_have_the_accuracy_of_their_rows(sources):
    found = {of["slice"]: of for of in evaluation.collect(sources)["slices"]}
    correct = PREDICTIONS.probabilities.argmax(axis=1) == PREDICTIONS.labels
    buckets = sources.splits["private_test"].buckets["brightness_bucket"]
    rows = buckets == "q3"
    assert found["brightness q3"]["rows"] == rows.sum() > 0
    assert found["brightness q3"]["accuracy"]["value"] == pytest.approx(correct[rows].mean())
    assert found["seen in training"]["rows"] == 1
    assert found["leak-free"]["rows"] == len(correct) - 1
    assert sum(of["rows"] for name, of in found.items() if "emotion" in name) == len(correct)


def test_an_altered_prediction_alters_figures_and_page(sources, write_sources, tmp_path):
    probabilities = PREDICTIONS.probabilities.copy()
    index = int(np.flatnonzero(probabilities.argmax(axis=1) == PREDICTIONS.labels)[0])
    wrong = (PREDICTIONS.labels[index] + 1) % 7
    probabilities[index] = np.eye(7)[wrong]
    altered = write_sources(dataclasses.replace(PREDICTIONS, probabilities=probabilities))
    before, after = (evaluation.collect(of) for of in (sources, altered))
    label = PREDICTIONS.labels[index]
    change = np.array(after["confusion"]) - before["confusion"]
    assert change[label, label] == -1
    assert change[label, wrong] == 1
    assert np.abs(change).sum() == 2
    assert after["mistakes"][0] == {
        "row": int(PREDICTIONS.rows[index]),
        "label": fer2013.EMOTIONS[label],
        "predicted": fer2013.EMOTIONS[wrong],
        "confidence": 1.0,
    }
    pages = []
    for name, of in (("before", sources), ("after", altered)):
        site.write(of, tmp_path / name)
        pages.append((tmp_path / name / "evaluation.html").read_text())
    for facts, page in zip((before, after), pages, strict=True):
        accuracy = facts["overall"]["accuracy"]["value"]
        assert f'<th scope="row">accuracy</th><td>{accuracy:.3f}</td>' in page
    assert pages[0] != pages[1]


def test_the_reliability_diagram_equals_scikit_learns(sources):
    facts = evaluation.collect(sources)
    bins = facts["reliability"]
    assert sum(of["faces"] for of in bins) == facts["rows"]
    confidence = PREDICTIONS.probabilities.max(axis=1)
    right = PREDICTIONS.probabilities.argmax(axis=1) == PREDICTIONS.labels
    shares, confidences = calibration.calibration_curve(right, confidence, n_bins=15)
    assert [of["accuracy"] for of in bins] == pytest.approx(list(shares))
    assert [of["confidence"] for of in bins] == pytest.approx(list(confidences))
    faces, _ = np.histogram(confidence, bins=15, range=(0, 1))
    error = np.average(np.abs(shares - confidences), weights=faces[faces > 0])
    assert facts["expected_calibration_error"] == pytest.approx(error)


def test_only_models_of_fer2013_stand_beside_others(sources, write_sources):
    (this, _) = (of for of in evaluation.collect(sources)["published"] if of["this"])
    assert this["parameters"] == 1_109
    other = write_sources(PREDICTIONS, data_md5="0" * 32)
    assert evaluation.collect(other)["published"] is None


# === Data and training ===


def test_duplicates_conflicts_and_constant_rows_are_found(sources):
    found = sources.duplicates
    in_train, in_private = (
        duplicates.Face("train", 0),
        duplicates.Face("private_test", 0),
    )
    twins = [duplicates.Face("train", 2), duplicates.Face("train", 3)]
    of_public_test = [duplicates.Face("public_test", 0), duplicates.Face("private_test", 7)]
    assert found.groups == [[in_train, in_private], twins, of_public_test]
    assert found.conflicting == [twins]
    assert found.constant == [duplicates.Face("train", 1)]
    assert found.distinct_images == sum(made._ROWS.values()) - 3


def test_rows_that_stand_in_other_splits_are_counted(sources):
    assert data_page.collect(sources)["duplicates"]["rows"] == {
        "train": {"train": 2, "public_test": 0, "private_test": 1},
        "public_test": {"train": 0, "public_test": 0, "private_test": 1},
        "private_test": {"train": 1, "public_test": 1, "private_test": 0},
    }


def test_a_model_trained_on_public_test_knows_leak_free_rows(write_sources):
    counts = [
        evaluation.collect(write_sources(PREDICTIONS, public_test_contaminated=contaminated))[
            "leak_free_rows_in_public_test"
        ]
        for contaminated in (False, True)
    ]
    assert counts == [None, 1]


def test_training_says_when_the_learning_rate_fell_and_where_it_resumed(sources):
    facts = training.collect(sources)
    assert facts["drops"] == [3]
    assert facts["resumed_after"] == [1]
    assert facts["images_per_second"] == pytest.approx(3 * (70 - 1) / 6)
    assert [of["epoch"] for of in facts["epochs"]] == [1, 2, 3]


def test_training_says_of_what_size_the_faces_were(write_sources, tiny_config):
    phases = [{"epochs": 2, "input_size": 32}, {"epochs": 1, "input_size": None}, {"epochs": 4}]
    muwnet = {**dataclasses.asdict(tiny_config), "phases": phases}
    sizes = training.collect(write_sources(PREDICTIONS, muwnet=muwnet))["sizes"]
    assert sizes == [{"size": 32, "from_epoch": 1}, {"size": 48, "from_epoch": 3}]


def test_a_training_that_did_not_end_has_its_curves(sources, tiny_config, tmp_path):
    phases = [{"epochs": 2, "input_size": 32}, {"epochs": 4, "input_size": None}]
    unfinished = {
        "history": {name: values[:2] for name, values in sources.history.items()},
        "resumed_after": [1],
        "contaminated": True,
        "muwnet": {**dataclasses.asdict(tiny_config), "phases": phases},
    }
    run = made.make_run(1, exit_code=130, unfinished_training=unfinished)
    stopped = report_sources.Sources(run=run, runs=(run,))
    facts = training.collect(stopped)
    assert [of["epoch"] for of in facts["epochs"]] == [1, 2]
    assert facts["planned"] == 6
    assert facts["best_epoch"] is None
    site.write(stopped, tmp_path / "site")
    page = (tmp_path / "site" / "training.html").read_text()
    assert "did not end" in page
    assert "PublicTest (trained on)" in page
    assert "2 of 6" in page
    assert page.count("<svg") == 3
    assert "best epoch" not in page
    assert "another size" not in page  # they would have come with epoch 3


def test_a_series_that_an_older_version_did_not_begin_is_left_out(write_sources):
    sources = write_sources(PREDICTIONS)
    sources.history["cpu_seconds"] = [1.0]
    epochs = training.collect(sources)["epochs"]
    assert len(epochs) == len(sources.history["loss"])
    assert all(of.keys() == sources.history.keys() - {"cpu_seconds"} | {"epoch"} for of in epochs)


def test_a_smooth_way_down_is_no_fall_of_the_learning_rate():
    rates = [0.05 + 0.05 * np.cos(np.pi * epoch / 80) for epoch in range(80)]
    assert training._find_drops(rates) == []


# === The site ===


def test_site_is_complete_and_asks_for_nothing_from_outside(sources, tmp_path):
    site.write(sources, tmp_path / "site")
    names = {path.name for path in (tmp_path / "site").iterdir()}
    assert names == {
        "index.html",
        "data.html",
        "training.html",
        "evaluation.html",
        "gates.html",
        "history.html",
        "model_card.html",
        "MODEL_CARD.md",
        "report.json",
    }
    for page in (tmp_path / "site").glob("*.html"):
        text = page.read_text()
        assert "default-src 'none'" in text
        for target in re.findall(r'(?:src|href)="([^"]*)"', text):
            assert target in names or target[0] == "#" or target.startswith("data:"), target
        for image in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]+"', image), image
        for plot in re.findall(r"<svg[^>]*>", text):
            assert re.search(r'aria-label="[^"]+"', plot), plot
    facts = json.loads((tmp_path / "site" / "report.json").read_text())
    assert facts == json.loads(json.dumps(site.collect(sources)))


def test_a_run_that_got_nowhere_has_all_pages(tmp_path):
    run = made.make_run(1, failure="bad input: row 3", exit_code=2)
    site.write(report_sources.Sources(run=run), tmp_path / "site")
    assert "bad input: row 3" in (tmp_path / "site" / "index.html").read_text()
    for page in (tmp_path / "site").glob("*.html"):
        if page.name not in ("index.html", "history.html"):
            assert "Not there: this run did not get to" in page.read_text(), page
    assert not (tmp_path / "site" / "MODEL_CARD.md").exists()


def test_what_comes_from_outside_is_escaped(write_sources, tmp_path):
    sources = write_sources(
        PREDICTIONS,
        profile=HOSTILE,
        hardware=HOSTILE,
        lineage=HOSTILE,
        teachers=[{"name": HOSTILE, "sha256": "0"}],
        warm_start={"name": HOSTILE, "sha256": "0"},
        data_md5=HOSTILE,
        commit=HOSTILE,
        source_fingerprint=HOSTILE,
    )
    found = anomalies_pb2.Anomalies()
    for part in (found.anomaly_info[HOSTILE], found.dataset_anomaly_info):
        part.short_description = part.description = HOSTILE
        part.reason.add(short_description=HOSTILE, description=HOSTILE)
    anomalies = tmp_path / "anomalies" / "Split-train"
    anomalies.mkdir(parents=True)
    (anomalies / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    run = made.make_run(1, failure=HOSTILE, log=HOSTILE, data_name=HOSTILE, version=HOSTILE)
    earlier = made.make_run(0, profile=HOSTILE, verdict=HOSTILE)
    sources = dataclasses.replace(
        sources,
        run=run,
        runs=(earlier, run),
        pushed_version=HOSTILE,
        anomalies=str(anomalies.parent),
        compared=dataclasses.replace(sources, run=earlier),
    )
    site.write(sources, tmp_path / "site")
    for page in (tmp_path / "site").glob("*.html"):
        assert "<script>alert" not in page.read_text(), page
    for name in ("index.html", "data.html", "gates.html"):
        shown = (tmp_path / "site" / name).read_text()
        assert html.escape(HOSTILE, quote=False).split("(")[0] in shown
    _, front, card = (tmp_path / "site" / "MODEL_CARD.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["model-index"][0]["name"] == f"muwnet-{HOSTILE}"
    assert "<script>" not in card


def test_a_report_about_any_run_lists_all_runs(sources, tmp_path):
    runs = tuple(made.make_run(number) for number in range(3))
    site.write(dataclasses.replace(sources, run=runs[1], runs=runs), tmp_path / "site")
    page = (tmp_path / "site" / "history.html").read_text()
    places = [page.index(f'<th scope="row">{run.run_id}') for run in runs]
    assert places == sorted(places, reverse=True)


def test_history_says_why_a_run_failed(sources, tmp_path):
    run = made.make_run(1, failure="bad input: row 3", exit_code=2)
    (found,) = history.collect(dataclasses.replace(sources, run=run, runs=(run,)))["runs"]
    assert (found["verdict"], found["failure"]) == ("failed", "bad input: row 3")
    site.write(dataclasses.replace(sources, run=run, runs=(run,)), tmp_path / "site")
    assert "failed: bad input: row 3" in (tmp_path / "site" / "history.html").read_text()


def test_gates_begin_with_the_rows_set_aside(sources, tmp_path):
    run = made.make_run(1, bad_rows=3, max_bad_rows=1_200)
    site.write(dataclasses.replace(sources, run=run, runs=(run,)), tmp_path / "site")
    page = (tmp_path / "site" / "gates.html").read_text()
    assert '<th scope="row">rows set aside</th><td>3</td><td>1,200</td>' in page


def test_the_earlier_site_stays_where_a_page_fails(sources, tmp_path, monkeypatch):
    site.write(sources, tmp_path / "site")
    before = (tmp_path / "site" / "report.json").read_bytes()

    def fail(*_):
        raise OSError("no space left, says this test")

    monkeypatch.setattr(evaluation, "draw", fail)
    with pytest.raises(OSError, match="no space left"):
        site.write(sources, tmp_path / "site")
    assert (tmp_path / "site" / "report.json").read_bytes() == before
    monkeypatch.undo()
    site.write(sources, tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


# === The model card ===


def test_front_matter_holds_the_figures_that_hubs_read(sources, tmp_path):
    site.write(sources, tmp_path / "site")
    _, front, text = (tmp_path / "site" / "MODEL_CARD.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    (result,) = front["model-index"][0]["results"]
    accuracy = evaluation.collect(sources)["overall"]["accuracy"]["value"]
    assert result["metrics"][0] == {
        "type": "accuracy",
        "name": "accuracy",
        "value": round(accuracy, 4),
    }
    assert front["datasets"] == ["fer2013"]
    assert f"| accuracy | {accuracy:.3f} |" in text
    assert "Article 5" in text


def test_card_names_the_weakest_slices_and_most_frequent_confusions(sources):
    facts = model_card.collect(sources)
    accuracies = [of["accuracy"]["value"] for of in facts["slices"]]
    assert [of["accuracy"]["value"] for of in facts["weakest_slices"]] == sorted(accuracies)[:5]
    assert facts["confusions"] == sorted(facts["confusions"], key=lambda of: -of["share"])


# === RunFacts ===


def test_facts_of_a_run_are_read_as_written(tmp_path):
    run = made.make_run(
        1, components=(run_facts.ComponentFacts("Trainer", "done", 2.5),), verdict="blessed"
    )
    run_facts.write(run, tmp_path / "run")
    assert run_facts.read(tmp_path / "run") == run


def test_facts_of_a_later_version_are_read_as_far_as_they_are_known(tmp_path):
    run = made.make_run(1, components=(run_facts.ComponentFacts("Trainer", "done", 2.5),))
    run_facts.write(run, tmp_path)
    file = tmp_path / run_facts.FILE_NAME
    values = json.loads(file.read_text()) | {"weather": "fair"}
    values["components"][0]["mood"] = "good"
    file.write_text(json.dumps(values))
    assert run_facts.read(tmp_path) == run


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"verdict": None, "exit_code": None}, "under way"),
        ({"verdict": None, "exit_code": exit_codes.KILLED}, "killed"),
        ({"verdict": None, "exit_code": 0}, "not judged"),
        ({"verdict": None, "exit_code": 1}, "failed"),
        ({"verdict": None, "exit_code": 3}, "anomaly"),
        ({"verdict": None, "exit_code": 130}, "interrupted"),
        ({"verdict": "not blessed", "exit_code": 4}, "not blessed"),
        ({"verdict": "blessed", "exit_code": 0}, "blessed"),
        ({"verdict": "blessed", "exit_code": 1}, "blessed, then failed"),
        ({"verdict": "blessed", "exit_code": 130}, "blessed, then interrupted"),
        ({"verdict": "blessed", "exit_code": exit_codes.KILLED}, "blessed, then killed"),
    ],
)
def test_how_a_run_ended(changes, end):
    assert made.make_run(1, **changes).end == end


def test_a_blessing_does_not_hide_a_later_failure(sources, tmp_path):
    run = made.make_run(1, verdict="blessed", exit_code=1, failure="no space for the Pusher")
    sources = dataclasses.replace(sources, blessed=True, run=run, runs=(run,))
    site.write(sources, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert '<p class="verdict bad">Blessed, then failed' in page
    assert "blessed, then failed" in (tmp_path / "site" / "history.html").read_text()


def test_reports_at_once_do_not_harm_each_other(tmp_path):
    script = (
        "import sys; from muwnet_fer.components.report import site, sources; import pathlib\n"
        "for _ in range(10): site.write(sources.Sources(), pathlib.Path(sys.argv[1]))"
    )
    folder = tmp_path / "output"
    command = [sys.executable, "-c", script, folder / "site"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.wait(300) == 0, process.stderr.read()
    assert (folder / "site" / "index.html").is_file()
    assert [path.name for path in folder.iterdir()] == ["site"]


def test_the_card_gives_away_no_folders(write_sources, tmp_path):
    weights = {"name": "/home/someone/serving_model/17", "sha256": "0", "data_md5": "0"}
    site.write(write_sources(PREDICTIONS, teachers=[weights], warm_start=weights), tmp_path / "s")
    card = (tmp_path / "s" / "MODEL_CARD.md").read_text()
    assert "began with other weights: 17." in card
    assert "Of these, 17, 17 learnt from other data" in card
    assert "/home" not in card


def test_the_card_takes_kaggles_files_for_the_same_data(write_sources, tmp_path):
    one, other = fer2013.KAGGLE_MD5
    weights = {"name": "weights", "sha256": "0", "data_md5": one}
    sources = write_sources(PREDICTIONS, teachers=[weights], data_md5=other)
    site.write(sources, tmp_path / "s")
    assert "learnt from other data" not in (tmp_path / "s" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"run_id": "x"}'])
def test_facts_that_are_none_are_named(tmp_path, content):
    (tmp_path / run_facts.FILE_NAME).write_text(content)
    with pytest.raises(ValueError, match=r"expected .*run\.json to hold the facts of a run"):
        run_facts.read(tmp_path)


def test_one_damaged_file_does_not_hide_the_other_runs(tmp_path):
    output = output_folder.OutputFolder(tmp_path)
    run = made.make_run(1)
    run_facts.write(run, output.runs / run.run_id)
    (output.runs / "damaged").mkdir()
    (output.runs / "damaged" / run_facts.FILE_NAME).write_text("{")
    with pytest.warns(UserWarning, match=r"expected .*damaged/run\.json to hold"):
        assert run_list.read(output) == [run]
