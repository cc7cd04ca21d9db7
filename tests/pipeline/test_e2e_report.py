"""The report of a real run: in a browser, after failures, and for programs."""

import json
import os
import pathlib
import shutil
import sys

import pytest
import tensorflow_model_analysis as tfma
from sklearn import metrics as sklearn_metrics

from muwnet_fer.components.predictor import artifacts
from muwnet_fer.components.report import run_facts
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.tests import chromium, commands
from muwnet_fer.tests.pipeline import run_output

pytestmark = pytest.mark.e2e

PAGES = (
    "index",
    "data",
    "training",
    "evaluation",
    "gates",
    "history",
    "model_card",
    "comparison",
)
LARGEST_SITE = 15_000_000  # bytes
SCRIPT = pathlib.Path(__file__).with_name("fail_in_each.py")


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> pathlib.Path:
    """An output folder of two runs, of which the second found everything in the cache.

    Of its own: that of the smoke run has the history of whichever tests came before.
    """
    folder = tmp_path_factory.mktemp("report") / "output"
    for _ in range(2):
        finished = commands.run_command("muwnet-fer", "run", "--output", folder, cwd=folder.parent)
        assert finished.exit_code == 0, finished.output
        assert f"report    {folder / 'report' / 'index.html'}" in finished.output
    return folder


def list_versions(output: pathlib.Path) -> list[str]:
    return sorted(path.name for path in (output / "serving_model").iterdir())


def run(*arguments, cwd: pathlib.Path) -> str:
    # Standard output and error come as one: only ours is wanted.
    finished = commands.run_command("muwnet-fer", *arguments, cwd=cwd, TF_CPP_MIN_LOG_LEVEL="3")
    assert finished.exit_code == 0, finished.output
    return finished.output


@pytest.fixture(scope="module")
def runs(output) -> list[run_facts.RunFacts]:
    return [run_facts.read(folder) for folder in sorted((output / "runs").iterdir())]


@pytest.fixture(scope="module")
def report(output, runs) -> pathlib.Path:
    """The site that compares the two runs."""
    first, second = (facts.run_id for facts in runs)
    printed = run("report", "--output", output, "--compare", first, second, cwd=output)
    assert printed == f"{output / 'report' / 'index.html'}\n"
    return output / "report"


def test_run_facts_tell_times_verdict_and_figures(output, runs):
    first, second = runs
    assert [of.name for of in first.components] == list(pipeline_config.COMPONENTS)
    assert {of.state for of in first.components} == {"done"}
    # A resolver looks again each time.
    assert {of.name for of in second.components if of.state != "cached"} == {"LatestBlessedModel"}
    assert first.verdict == second.verdict == "blessed"
    assert first.version == second.version == list_versions(output)[0]
    assert first.private_test_reads == second.private_test_reads == 1
    assert first.exit_code == second.exit_code == 0
    split = read_private_test(output)
    accuracy = (split.probabilities.argmax(axis=1) == split.labels).mean()
    assert first.figures["accuracy"] == pytest.approx(accuracy)


def read_private_test(output: pathlib.Path) -> artifacts.PredictedSplit:
    return artifacts.read(
        str(run_output.newest(output, "Predictor", "predictions")), "private_test"
    )


@pytest.fixture(scope="module")
def facts(output) -> dict:
    """What `--format json` prints."""
    return json.loads(run("report", "--output", output, "--format", "json", cwd=output))


def test_facts_for_programs_equal_scikit_learns(output, facts):
    split = read_private_test(output)
    guesses = split.probabilities.argmax(axis=1)
    f1 = sklearn_metrics.f1_score(split.labels, guesses, average=None, labels=range(7))
    assert [of["f1"]["value"] for of in facts["evaluation"]["classes"]] == pytest.approx(list(f1))
    gates = {of["figure"]: of for of in facts["gates"]["evaluation"]}
    assert gates["accuracy"]["value"] == pytest.approx((guesses == split.labels).mean())
    assert all(of["reaches_floor"] for of in gates.values())
    assert [len(of) for of in facts["data"]["classes"].values()] == [7, 7, 7]


def test_gates_tell_what_the_schema_expects_and_what_was_measured(facts):
    measured = {
        (of["split"], of["feature"], of["expected"]): of["measured"]
        for of in facts["gates"]["schema_figures"]
        if of["passed"]
    }
    assert measured["private_test", "emotion", "0 to 6"] == "0 to 6"
    assert measured["train", "emotion", "7 different values"] == "7"
    assert measured["train", "image", "in every row"] == "in 100.00%"
    assert measured["train", "row", "0 or more"] == "0 to 2,799"
    found = facts["data"]["statistics"]["brightness"]["public_test"]
    assert measured["public_test", "brightness", "0 to 255"] == (
        f"{found['lowest']:,.7g} to {found['highest']:,.7g}"
    )
    assert measured["train", "contrast_bucket", "one of q1, q2, q3, q4, q5"] == "q1, q2, q3, q4, q5"


def test_slices_equal_tfmas(output, facts):
    of_report = {of["slice"]: of for of in facts["evaluation"]["slices"]}
    uri = str(run_output.newest(output, "Evaluator", "evaluation"))
    compared = 0
    for key, metrics in tfma.load_eval_result(uri).slicing_metrics:
        if key and key[0][0].endswith("_bucket"):
            name = f"{key[0][0].removesuffix('_bucket')} {key[0][1]}"
            figures = metrics[""][""]
            assert of_report[name]["rows"] == figures["example_count"]["doubleValue"]
            accuracy = figures["accuracy"]["doubleValue"]
            assert of_report[name]["accuracy"]["value"] == pytest.approx(accuracy)
            compared += 1
    assert compared == 15


def test_tfmas_own_review_reads_the_evaluation(output):
    uri = str(run_output.newest(output, "Evaluator", "evaluation"))
    assert tfma.load_eval_result(uri).get_slice_names()
    assert tfma.load_validation_result(uri).validation_ok


def test_the_component_wrote_a_site_of_its_own(output):
    site = run_output.newest(output, "Report", "report") / "site"
    assert {path.name for path in site.iterdir()} >= {
        f"{page}.html" for page in PAGES if page != "comparison"
    }


def test_site_is_small(report):
    assert sum(path.stat().st_size for path in report.iterdir()) < LARGEST_SITE


@chromium.needed
@pytest.mark.parametrize("size", chromium.SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_in_a_browser(report, name, size):
    with chromium.open_page((report / f"{name}.html").as_uri(), size=size) as page:
        chromium.check_width(page)
        chromium.keep(page, f"report-{name}-{size}")
        assert page.evaluate(
            "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        )
        assert page.locator("nav a").count() == len(PAGES)
        assert page.locator("nav a[aria-current]").count() == 1
        for plot in page.locator("svg.plot").all():
            assert plot.get_attribute("aria-label")
            assert plot.bounding_box()["height"] > 50


@chromium.needed
def test_a_columns_header_sorts_the_slices(report):
    with chromium.open_page((report / "evaluation.html").as_uri()) as page:
        table = page.locator("table.sortable")
        counts = []
        for _ in range(2):
            table.get_by_role("button", name="rows").click()
            cells = table.locator("tbody tr td:nth-child(2)").all_inner_texts()
            counts.append([int(text.replace(",", "")) for text in cells])
        assert counts == [sorted(counts[0], reverse=True), sorted(counts[0])]
        assert counts[0] != counts[1]


def test_runs_lists_and_shows_what_led_to_a_version(output, runs):
    (version,) = list_versions(output)
    listed = run("runs", "--output", output, cwd=output)
    for facts in runs:
        assert facts.run_id in listed
    shown = run("runs", "--output", output, "show", version, cwd=output)
    first = runs[0]
    assert first.run_id in shown
    assert first.data_md5 in shown
    for name, key in (("CuratedSchemaGen", "schema"), ("Trainer", "model")):
        assert str(run_output.newest(output, name, key)) in shown
    assert str(output / "serving_model" / version) in shown
    # Of the run that found everything in the cache, the first one made it all.
    of_second = run("runs", "--output", output, "show", runs[1].run_id, cwd=output)
    assert of_second.count(first.run_id) >= len(pipeline_config.COMPONENTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "--run", "nope"), "expected a run or version of this output folder"),
        (("report", "--compare", "latest", "nope"), "got 'nope'"),
        (("report", "--run", "17", "--compare", "a", "b"), "expected --run or --compare"),
        (("report", "--open", "--format", "json"), "expected --open with --format html"),
        (("runs", "show", "nope"), "got 'nope'"),
    ],
)
def test_wrong_arguments_are_said(output, arguments, message):
    name, *others = arguments
    finished = commands.run_command("muwnet-fer", name, "--output", output, *others, cwd=output)
    assert finished.exit_code == 2, finished.output
    assert message in finished.output
    assert "Traceback" not in finished.output


def test_a_folder_that_cannot_be_looked_at_is_said(tmp_path):
    (tmp_path / "lineage.json").mkdir()
    of_folder = ("--output", tmp_path)
    for arguments in (
        ("report", *of_folder),
        ("runs", *of_folder),
        ("runs", *of_folder, "show", "latest"),
    ):
        finished = commands.run_command("muwnet-fer", *arguments, cwd=tmp_path)
        assert finished.exit_code == 1
        assert "Is a directory" in finished.output
        assert "Traceback" not in finished.output


def test_a_folder_without_runs_is_said(tmp_path):
    for command in ("report", "runs"):
        finished = commands.run_command("muwnet-fer", command, cwd=tmp_path)
        assert finished.exit_code == 2
        assert "expected output folders of runs" in finished.output


def test_a_run_that_fails_at_any_component_has_its_report(output, tmp_path):
    # Not the folder of the other tests, in whose history these runs would stand.
    output = shutil.copytree(output, tmp_path / "output")
    nodes = pipeline_config.COMPONENTS
    finished = commands.run_command(sys.executable, SCRIPT, output, *nodes, cwd=tmp_path)
    for node in nodes:
        assert f"{node} ended with 1" in finished.output, finished.output
    assert "not written" not in finished.output
    assert "of the run's end alone" not in finished.output
    failed = [run_facts.read(folder) for folder in sorted((output / "runs").iterdir())]
    failed = failed[-len(nodes) :]
    for number, (node, facts) in enumerate(zip(nodes, failed, strict=True)):
        assert f"<b>{node}</b> fails, says this test" in facts.failure
        assert facts.exit_code == 1
        assert [of.name for of in facts.components] == list(nodes[: number + 1])
        assert facts.components[-1].state == "failed"
    page = (output / "report" / "index.html").read_text()
    assert "&lt;b&gt;Report&lt;/b&gt; fails, says this test" in page
    first = failed[0].run_id
    run("report", "--output", output, "--run", first, cwd=output)
    assert "CuratedSchemaGen" in (output / "report" / "index.html").read_text()
    assert "Not there" in (output / "report" / "evaluation.html").read_text()
    # No gate is called passed that the run did not get to.
    gates = json.loads(
        run("report", "--output", output, "--run", first, "--format", "json", cwd=output)
    )["gates"]
    assert gates.pop("rows") == {"set_aside": 0, "at_most": 0, "passed": True}
    assert gates == dict.fromkeys(("schema", "schema_figures", "splits", "evaluation"))
    assert os.listdir(output / "logs")
