"""`muwnet-fer weights` and `run --warm-start`, from the model that the smoke run pushed."""

import json
import pathlib
import re

import pytest
import tensorflow as tf

from muwnet_fer.tests import commands

pytestmark = pytest.mark.e2e


def run_weights(smoke_run, *arguments) -> commands.Command:
    return commands.run_command("muwnet-fer", "weights", *arguments, cwd=smoke_run.workspace)


@pytest.fixture(scope="module")
def sample_csv(smoke_run) -> pathlib.Path:
    (path,) = (smoke_run.output / "sample").glob("*.csv")
    return path


@pytest.fixture(scope="module")
def packaged(smoke_run, sample_csv, tmp_path_factory) -> pathlib.Path:
    """The manifest of the smoke run's model as packaged weights."""
    folder = tmp_path_factory.mktemp("weights")
    arguments = (smoke_run.evaluated_model(), "smoke", "--data", sample_csv, "--to", folder)
    package = run_weights(smoke_run, "package", *arguments)
    assert package.exit_code == 0, package.output
    assert re.search(r"smoke\.json: 54,631 parameters, 0\.\d+ MB$", package.output.strip())
    return folder / "smoke.json"


def test_weights_of_a_name_are_replaced_on_demand_alone(smoke_run, packaged, sample_csv):
    before = packaged.read_bytes()
    model = smoke_run.evaluated_model()
    arguments = ("package", model, "smoke", "--data", sample_csv, "--to", packaged.parent)
    refused = run_weights(smoke_run, *arguments)
    assert refused.exit_code == 1
    assert "expected a name that" in refused.output
    assert "--replace" in refused.output
    assert packaged.read_bytes() == before
    assert run_weights(smoke_run, *arguments, "--replace").exit_code == 0
    assert packaged.read_bytes() == before  # the same model gives the same weights


def test_a_version_that_was_not_packaged_states_no_figures(smoke_run, sample_csv):
    verify = run_weights(smoke_run, "verify", smoke_run.evaluated_model(), "--data", sample_csv)
    assert verify.exit_code == 1
    assert "figures: stated none" in verify.output


def test_packaged_figures_are_those_of_the_run(smoke_run, packaged):
    manifest = json.loads(packaged.read_text())
    path = smoke_run.evaluated_model() / "assets.extra" / "muwnet.json"
    pushed = json.loads(path.read_text())
    accuracy = pushed.pop("public_test_accuracy")  # of weights that were not rounded yet
    assert manifest.items() >= pushed.items()
    stated = manifest["figures"]["public_test"]["accuracy"]["value"]
    assert stated == pytest.approx(accuracy, abs=0.01)
    assert "public_test_accuracy" not in manifest
    private_test = manifest["figures"]["private_test"]
    printed = smoke_run.run.output
    for name, figure in (
        ("accuracy", "accuracy"),
        ("macro F1", "macro_f1"),
        ("accuracy by ten views", "ten_views_accuracy"),
        ("macro F1 by ten views", "ten_views_macro_f1"),
        ("accuracy on 350 rows unlike any of train", "leak_free_accuracy"),
    ):
        (value,) = re.findall(rf"^{name} +([01]\.\d+) \(", printed, re.M)
        # Half precision may turn a face over.
        assert private_test[figure]["value"] == pytest.approx(float(value), abs=0.006)
    assert private_test["rows"] == manifest["figures"]["public_test"]["rows"] == 350


def test_verify_accepts_what_was_packaged_and_names_what_differs(
    smoke_run, packaged, sample_csv, tmp_path
):
    verify = run_weights(smoke_run, "verify", packaged, "--data", sample_csv)
    assert verify.exit_code == 0, verify.output
    assert "as its manifest states" in verify.output
    manifest = json.loads(packaged.read_text())
    manifest["figures"]["private_test"]["accuracy"]["value"] += 0.0006
    embellished = tmp_path / "smoke.json"
    embellished.write_text(json.dumps(manifest))
    (tmp_path / "smoke.npz").write_bytes(packaged.with_suffix(".npz").read_bytes())
    verify = run_weights(smoke_run, "verify", embellished, "--data", sample_csv)
    assert verify.exit_code == 1, verify.output
    assert re.search(r"^  private_test accuracy value: stated [\d.]+, got", verify.output, re.M)
    assert "1 differences" in verify.output


def test_exported_weights_are_a_saved_model(smoke_run, packaged, tmp_path):
    export = run_weights(smoke_run, "export", packaged, tmp_path / "1")
    assert export.exit_code == 0, export.output
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    assert {"predict_images", "predict_faces", "serving_default"} <= set(signatures)
    again = run_weights(smoke_run, "export", packaged, tmp_path / "1")
    assert again.exit_code == 1
    assert "not to be there yet" in again.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("verify", "nothing"), 1, "expected weights of"),
        (("export", "nothing", "out"), 1, "expected weights of"),
        (("verify", "--data", "nothing.csv"), 2, "nothing.csv"),
        (("package", "nothing", "name"), 1, "expected weights of"),
    ],
)
def test_what_cannot_be_used_is_named(smoke_run, sample_csv, arguments, exit_code, message):
    if arguments[0] != "export" and "--data" not in arguments:
        arguments += ("--data", sample_csv)
    ended = run_weights(smoke_run, *arguments)
    assert ended.exit_code == exit_code
    assert message in ended.output
    assert "Traceback" not in ended.output


def test_warm_start_of_another_network_is_refused_at_once(smoke_run, packaged, tmp_path):
    run = commands.run_command(
        "muwnet-fer",
        *("run", "--profile", "cpu", "--warm-start", packaged, "--output", tmp_path / "out"),
        cwd=smoke_run.workspace,
    )
    assert run.exit_code == 2, run.output
    assert "expected weights of the network of profile 'cpu'" in run.output
    assert "fully_connected is 64, expected 192" in run.output


def test_warm_start_begins_where_the_weights_ended(smoke_run, packaged, small_csv, tmp_path):
    run = commands.run_command(
        "muwnet-fer",
        *("run", "--profile", "smoke", "--data", small_csv, "--warm-start", packaged),
        *("--output", tmp_path / "out", "--to", "Trainer"),
        cwd=smoke_run.workspace,
    )
    assert run.exit_code == 0, run.output
    assert f"start    from the weights {packaged}" in run.output
    # Untrained, it would be some 14 % after an epoch of 168 faces.
    (first,) = re.findall(r"epoch  1/12 .*PublicTest ([\d.]+)%", run.output)
    assert float(first) > 70
