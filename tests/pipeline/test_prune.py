"""prune on the output of real TFX runs: what goes, what stays, and what a next run finds."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from ml_metadata.proto import metadata_store_pb2
from tensorflow_serving.config import model_server_config_pb2
from tfx.orchestration import metadata

from muwnet_fer.data import model_config
from muwnet_fer.models.muwnet import checkpoint
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import lineage_lock, output_folder, prune
from muwnet_fer.tests import commands
from muwnet_fer.tests.pipeline import run_output, small_pipeline

_STATES = metadata_store_pb2.Artifact


@pytest.fixture
def config(small_csv, tmp_path) -> pipeline_config.PipelineConfig:
    return pipeline_config.make_config([str(small_csv)], "smoke", str(tmp_path / "output"))


def run_prune(config, keep: int, **options) -> None:
    assert prune.run(keep, str(config.output.path), **options) == 0


def list_uris(records, *node_ids: str) -> set[str]:
    """Returns the uris of the nodes' artifacts, of all nodes where none is named."""
    return {
        artifact.uri
        for node_id in node_ids or records
        for artifacts in records[node_id].outputs.values()
        for artifact in artifacts
    }


def list_artifact_folders(config) -> set[str]:
    folders = config.output.pipeline_root.glob("*/*/*")
    return {str(path) for path in folders if path.parent.name != ".system"}


def list_versions(config) -> list[str]:
    return sorted(path.name for path in config.output.serving_model.iterdir())


def read_version(records) -> str:
    (pushed_model,) = records["Pusher"].outputs["pushed_model"]
    return pushed_model.custom_properties["pushed_version"].string_value


def read_states(config) -> dict[str, int]:
    connection = metadata.sqlite_metadata_connection_config(str(config.output.metadata))
    with metadata.Metadata(connection) as handle:
        return {artifact.uri: artifact.state for artifact in handle.store.get_artifacts()}


def read_tree(folder: pathlib.Path) -> dict[str, str]:
    """Returns the digest of every file, "" for a folder, ML Metadata's file among them.

    Not of the lock, which is there from the first command on.
    """
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def assert_stays(config, uris: set[str]) -> None:
    """What is there, what ML Metadata offers and what is expected are the same."""
    assert list_artifact_folders(config) == uris
    states = read_states(config)
    assert {uri for uri, state in states.items() if state == _STATES.LIVE} == uris
    assert set(states.values()) <= {_STATES.LIVE, _STATES.DELETED}


# === What stays ===


def test_the_newest_runs_and_the_newest_blessed_model_stay(config, capsys):
    oldest = small_pipeline.run(config, "oldest", data="older")
    baseline = small_pipeline.run(config, "baseline")
    blessed = small_pipeline.run(config, "blessed")
    assert list_uris(blessed, "LatestBlessedModel") >= list_uris(baseline, "Trainer")
    for learnt in ("bad 1", "bad 2"):
        small_pipeline.run(config, learnt)
    newest = small_pipeline.run(config, "bad 3")
    run_prune(config, keep=1)
    # The blessed run's baseline, too, with its blessing: the Evaluator's cache asks for it.
    kept = list_uris(newest) | list_uris(blessed) | list_uris(baseline, "Trainer", "Evaluator")
    assert_stays(config, kept)
    assert list_uris(oldest).isdisjoint(kept)
    # The first pushed version is stable, and so still served.
    assert list_versions(config) == [read_version(oldest), read_version(blessed)]
    # Of oldest: 5 with its Examples; the baseline's push; of each bad run: 4.
    assert "removed runs: 4, artifacts: 14, " in capsys.readouterr().out


def test_as_many_runs_and_versions_stay_as_asked(config):
    records = [small_pipeline.run(config, learnt, learnt) for learnt in "abcd"]
    run_prune(config, keep=4)
    assert_stays(config, set().union(*map(list_uris, records)))
    run_prune(config, keep=2)
    # The third newest's model is the second newest's baseline.
    kept = list_uris(records[3]) | list_uris(records[2])
    assert_stays(config, kept | list_uris(records[1], "Trainer", "Evaluator"))
    assert list_versions(config) == [read_version(records[i]) for i in (0, 2, 3)]


def test_the_newest_blessed_version_stays_whatever_was_put_above_it(config):
    old, blessed = (small_pipeline.run(config, learnt) for learnt in ("old", "blessed"))
    for number in ("88888888888", "99999999999"):
        (config.output.serving_model / number).mkdir()
    assert read_version(old) in list_versions(config)
    run_prune(config, keep=1)
    assert list_versions(config) == [read_version(old), read_version(blessed), "99999999999"]


def test_the_newest_blessed_and_the_newest_pushed_model_may_be_two(config):
    pushed = small_pipeline.run(config, "pushed")
    blessed = small_pipeline.run(config, "unpushable")
    assert blessed["Evaluator"].succeeded and not blessed.pop("Pusher").succeeded
    assert small_pipeline.run(config, "error").keys() == {"ExampleGen", "Trainer"}
    run_prune(config, keep=1)
    assert_stays(config, list_uris(pushed) | list_uris(blessed))
    assert list_versions(config) == [read_version(pushed)]


def test_the_stable_version_stays_however_old(config):
    records = [small_pipeline.run(config, learnt) for learnt in "abcd"]
    run_prune(config, keep=1)
    # The first one pushed is stable until another one is promoted.
    assert list_versions(config) == [read_version(records[0]), read_version(records[3])]
    with model_config.edit(
        config.output.model_config, model_server_config_pb2.ModelServerConfig
    ) as model:
        for label in (model_config.STABLE, model_config.PREVIOUS):
            model_config.set_label(model, label, int(read_version(records[3])))
    run_prune(config, keep=1)
    assert list_versions(config) == [read_version(records[3])]


def test_a_file_that_is_no_model_config_stops_a_prune_before_anything_is_gone(config, capsys):
    for learnt in "ab":
        small_pipeline.run(config, learnt)
    before = list_versions(config)
    config.output.model_config.write_text("nonsense {")
    assert prune.run(1, str(config.output.path)) == 2
    assert model_config.FILE_NAME in capsys.readouterr().err
    assert list_versions(config) == before


def test_an_unchanged_run_is_all_cached_after_a_prune(config):
    """Made by old runs, used by the newest: what it takes from the cache stays."""
    small_pipeline.run(config, "model")
    small_pipeline.run(config, "bad", data="other")
    before = small_pipeline.run(config, "model")
    assert all(before[node_id].cached for node_id in ("Trainer", "Evaluator", "Pusher"))
    run_prune(config, keep=1)
    assert_stays(config, list_uris(before))
    after = small_pipeline.run(config, "model")
    assert {name for name, record in after.items() if not record.cached} == {"LatestBlessedModel"}
    assert list_uris(after) == list_uris(before)


def test_a_changed_run_finds_its_baseline_after_a_prune(config):
    blessed = small_pipeline.run(config, "blessed")
    for learnt in ("bad 1", "bad 2"):
        small_pipeline.run(config, learnt)
    run_prune(config, keep=1)
    changed = small_pipeline.run(config, "changed")
    (baseline,) = changed["LatestBlessedModel"].outputs["model"]
    assert {baseline.uri} == list_uris(blessed, "Trainer")
    assert pathlib.Path(baseline.uri).is_dir()


# === What nobody owns ===


def test_what_killed_and_failed_runs_left_goes(config):
    good = small_pipeline.run(config, "good")
    killed = small_pipeline.run(config, "killed")
    failed = small_pipeline.run(config, "error")
    assert not killed["Trainer"].succeeded and not failed["Trainer"].succeeded
    (config.output.serving_model / ".temporary" / "1").mkdir(parents=True)  # of a killed push
    left = list_artifact_folders(config) - list_uris(good)
    assert len(left) == 1  # the killed Trainer's
    assert list(config.output.pipeline_root.glob("Trainer/.system/stateful_working_dir/*"))
    run_prune(config, keep=2)
    assert_stays(config, list_uris(good))
    assert list_versions(config) == [read_version(good)]
    makers = {pathlib.Path(uri).name for uri in list_uris(good)}
    assert {path.name for path in config.output.pipeline_root.glob("*/.system/*/*")} == makers


def test_what_the_newest_run_left_half_made_goes(config):
    """To ML Metadata it is under way; the lock knows better."""
    good = small_pipeline.run(config, "good")
    small_pipeline.run(config, "killed")
    unfinished = config.output.path / ".lineage.json.123.unfinished"
    unfinished.touch()
    run_prune(config, keep=1)
    assert_stays(config, list_uris(good))
    assert not unfinished.exists()


def test_a_busy_folder_is_left_alone_and_the_others_are_pruned(tmp_path, monkeypatch, capsys):
    busy = output_folder.claim(tmp_path / "output" / "busy", "busy")
    free = output_folder.claim(tmp_path / "output" / "free", "free")
    monkeypatch.chdir(tmp_path)
    with lineage_lock.hold(busy.path):
        assert prune.run(1) == 2
    printed = capsys.readouterr()
    assert f"error: another command works in {busy.path}" in printed.err
    assert f"{free.path}: removed nothing" in printed.out


def test_nothing_goes_where_no_run_is_known(config):
    """A lost metadata.db is no reason to lose the models, too."""
    small_pipeline.run(config, "good")
    config.output.metadata.unlink()
    before = read_tree(config.output.path)
    run_prune(config, keep=1)
    assert read_tree(config.output.path) == before


# === Dry, twice, interrupted ===


def test_a_dry_run_changes_no_byte_and_says_what_a_real_one_does(config, capsys):
    for learnt in "abc":
        small_pipeline.run(config, learnt)
    before = read_tree(config.output.path)
    capsys.readouterr()
    run_prune(config, keep=1, dry_run=True)
    assert read_tree(config.output.path) == before
    dry = capsys.readouterr().out
    run_prune(config, keep=1)
    assert capsys.readouterr().out == dry.replace("would remove", "removed")
    assert f"{config.output.path}: would remove runs: 2, artifacts: 5, " in dry
    assert dry.endswith(" MB\n")


def test_a_second_prune_finds_nothing(config, capsys):
    for learnt in "abc":
        small_pipeline.run(config, learnt)
    run_prune(config, keep=1)
    before = read_tree(config.output.path)
    capsys.readouterr()
    run_prune(config, keep=1)
    assert read_tree(config.output.path) == before
    assert capsys.readouterr().out == f"{config.output.path}: removed nothing\n"


def test_what_could_not_be_deleted_is_not_offered_and_goes_next_time(config, monkeypatch, capsys):
    old = small_pipeline.run(config, "old")
    for learnt in ("a", "b"):
        small_pipeline.run(config, learnt)

    rmtree = shutil.rmtree

    def refuse(path):
        if {".system", ".temporary"} & set(path.parts):
            return rmtree(path)
        raise OSError(f"cannot delete {path}, says this test")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        assert prune.run(1, str(config.output.path)) == 1
    assert "says this test" in capsys.readouterr().err
    (model,) = list_uris(old, "Trainer")
    assert pathlib.Path(model).is_dir()
    assert read_states(config)[model] == _STATES.DELETED
    # Its folder is there: were it offered, TFX would take it from the cache.
    again = small_pipeline.run(config, "old")
    assert not again["Trainer"].cached
    run_prune(config, keep=5)
    assert not pathlib.Path(model).exists()


# === Beside the artifacts ===


def write_checkpoint(config, name: str, done: int, exported: bool = False) -> pathlib.Path:
    folder = config.output.checkpoints / name
    folder.mkdir(parents=True)
    losses = {"loss": [0.5] * done}
    checkpoint.write(
        folder / checkpoint.FILE, checkpoint.Checkpoint("s", "f", 12, exported, losses)
    )
    return folder


def test_only_exported_checkpoints_go(config):
    small_pipeline.run(config, "good")
    resumable = write_checkpoint(config, "resumable", done=3)
    complete = write_checkpoint(config, "complete", done=12)
    exported = write_checkpoint(config, "exported", done=12, exported=True)
    torn = write_checkpoint(config, "torn", done=12, exported=True)
    content = (torn / "checkpoint.npz").read_bytes()
    (torn / "checkpoint.npz").write_bytes(content[: len(content) // 2])
    begun = config.output.checkpoints / "begun"
    begun.mkdir()
    assert not checkpoint.is_resumable(exported)
    run_prune(config, keep=1)
    assert set((config.output.checkpoints).iterdir()) == {resumable, complete, torn, begun}


def test_logs_from_before_the_oldest_kept_run_go(config):
    small_pipeline.run(config, "old")
    config.output.logs.mkdir()
    old, new, foreign = (config.output.logs / name for name in ("1.log", "2.log", "notes.txt"))
    for path in (old, new, foreign):
        path.touch()
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    run_prune(config, keep=1)
    assert set(config.output.logs.iterdir()) == {new, foreign}


# === Nothing outside ===


def test_links_are_not_followed(config, tmp_path):
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "folder" / "file").write_text("kept")
    before = read_tree(outside)
    (old,) = list_uris(small_pipeline.run(config, "killed"), "ExampleGen")
    records = small_pipeline.run(config, "good", data="other")
    pathlib.Path(old, "link").symlink_to(outside)
    (config.output.pipeline_root / "Trainer" / "model" / "999").symlink_to(outside)
    (config.output.serving_model / "1").symlink_to(outside)
    run_prune(config, keep=1)
    assert_stays(config, list_uris(records))
    assert list_versions(config) == [read_version(records)]
    assert read_tree(outside) == before


@pytest.mark.parametrize("name", ["pipeline_root", "serving_model", "checkpoints", "logs"])
def test_a_link_in_place_of_a_folder_is_refused(config, tmp_path, capsys, name):
    for learnt in "abc":
        small_pipeline.run(config, learnt)
    (config.output.path / name).mkdir(exist_ok=True)
    shutil.move(config.output.path / name, tmp_path / "outside")
    (config.output.path / name).symlink_to(tmp_path / "outside")
    before = read_tree(tmp_path)
    assert prune.run(1, str(config.output.path)) == 2
    assert (
        f"expected {config.output.path / name} to be a folder, got a link"
        in capsys.readouterr().err
    )
    assert read_tree(tmp_path) == before


# === The command ===


def test_all_lineages_under_output_are_pruned(small_csv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output" / "foreign").mkdir(parents=True)
    lineages = ("one", "two")
    for lineage in lineages:
        csv = shutil.copy(small_csv, tmp_path / f"{lineage}.csv")
        config = pipeline_config.make_config([csv], "smoke")
        for learnt in "abc":
            small_pipeline.run(config, learnt)
    assert prune.run(1) == 0
    lines = capsys.readouterr().out.splitlines()
    for lineage, line in zip(lineages, lines, strict=True):
        folder = tmp_path / "output" / lineage
        assert line.startswith(f"{folder}: removed runs: 2, ")
        assert len(list((folder / "serving_model").iterdir())) == 2  # the stable and the newest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep", "0"), "0 is not in the range"),
        ((), "Missing option '--keep'"),
        (("--keep", "1"), "expected output folders of runs at "),
        (("--keep", "1", "--output", "empty"), "expected output folders of runs at "),
        (("--keep", "1", "--output", "broken"), "cannot read "),
    ],
)
def test_mistakes_are_answered_with_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lineage.json").write_text('{"lineage": "broken"}')
    (tmp_path / "broken" / "metadata.db").write_text("no database")
    command = commands.run_command("muwnet-fer", "prune", *arguments, cwd=tmp_path)
    assert command.exit_code == 2
    assert message in command.output
    assert "Traceback" not in command.output


def test_prune_imports_no_tfx():
    script = (
        "import sys; from muwnet_fer.pipeline import prune; "
        "sys.exit(any(name in sys.modules for name in ('tfx', 'tensorflow')))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.e2e
def test_the_whole_pipeline_is_cached_after_a_prune(smoke_run):
    """The smoke run stays what it was for whoever comes next: one version, all cached."""

    def run_muwnet(*arguments) -> commands.Command:
        command = commands.run_command(
            "muwnet-fer", *arguments, "--output", smoke_run.output, cwd=smoke_run.workspace
        )
        assert command.exit_code == 0, command.output
        run_output.assert_clean(command)
        return command

    run_muwnet("run")
    orphan = smoke_run.output / "pipeline_root" / "Trainer" / "model" / "999999"
    orphan.mkdir()
    before = read_tree(smoke_run.output)
    newest = smoke_run.versions()[-1]
    assert "would remove " in run_muwnet("prune", "--keep", "1", "--dry-run").output
    assert read_tree(smoke_run.output) == before
    assert "removed " in run_muwnet("prune", "--keep", "1").output
    assert not orphan.exists()
    assert smoke_run.versions()[-1] == newest
    unchanged = run_muwnet("run")
    lines = run_output.read_component_lines(unchanged.output)
    assert {name for name, took in lines.items() if took != "cached"} == {"LatestBlessedModel"}
    (version,) = re.findall(r"unchanged, version (\d+)", unchanged.output)
    assert version in smoke_run.versions()
