"""The manifest states the right epoch and figures, and the commit of the checkout."""

import dataclasses
import json
import re
import subprocess

import pytest

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import manifest
from muwnet_fer.models.muwnet import model as muwnet_model

HISTORY = {
    "val_accuracy": [0.25, 0.75, 0.5, 0.75],
    "seconds": [1.2, 2.2, 3.2, 4.0],
    "cpu_seconds": [2.2, 4.2, 6.2, 8.0],
    "accuracy": [0.9, 0.1, 0.1, 0.1],
}


# === describe ===


def test_describe_states_the_facts(monkeypatch, tiny_config):
    monkeypatch.setattr(manifest, "describe_hardware", lambda: "a processor")
    phases = (muwnet_config.Phase(3), muwnet_config.Phase(1))
    config = dataclasses.replace(tiny_config, phases=phases)
    model = muwnet_model.build_muwnet(config)
    facts = manifest.describe(
        config, model, HISTORY, {"profile": "smoke", "rows": 7}, 11, [1, 3], 0.7, 1.25
    )
    assert facts == {
        "profile": "smoke",
        "rows": 7,
        "parameters": 1109,
        "seed": 5,
        "epochs": 4,
        "best_epoch": 2,  # counted from one, the first of equals
        "public_test_accuracy": 0.7,
        "constant_images_left_out": 11,
        "resumed_after": [1, 3],
        "training_seconds": 11,
        "training_cpu_seconds": 21,
        "hardware": "a processor",
        "temperature": 1.25,
        "muwnet": dataclasses.asdict(config),
    }
    # Through JSON and back it still names the same network.
    assert muwnet_config.from_dict(json.loads(json.dumps(facts))["muwnet"]) == config


def test_hardware_is_named():
    processor, cores, accelerators = manifest.describe_hardware().rsplit(", ", 2)
    assert processor
    assert re.fullmatch(r"[1-9]\d* cores", cores)
    assert re.fullmatch(r"(no|[1-9]\d*) accelerators", accelerators)


# === read_commit ===


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, in which the module believes to stand."""
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set within git's own hooks
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "models" / "muwnet" / "manifest.py"))
    (tmp_path / "file").write_text("committed")
    run_git(tmp_path, "init", "--quiet")
    run_git(tmp_path, "add", "file")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def run_git(folder, *arguments: str) -> str:
    settings = ("user.name=Test", "user.email=test@example.org", "commit.gpgsign=false")
    options = [option for setting in settings for option in ("-c", setting)]
    result = subprocess.run(
        ["git", *options, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def test_commit_of_a_clean_checkout_is_its_full_hash(checkout):
    head = run_git(checkout, "rev-parse", "HEAD")
    assert len(head) == 40
    assert manifest.read_commit() == head
    # A tag must not take the hash's place.
    run_git(checkout, "tag", "--annotate", "v1", "--message", "v1")
    assert manifest.read_commit() == head


def test_commit_of_an_edited_checkout_is_dirty(checkout):
    (checkout / "file").write_text("edited")
    assert manifest.read_commit() == run_git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_folder_within_another_repository_has_no_commit(checkout, monkeypatch):
    inner = checkout / "installed" / "models" / "muwnet" / "manifest.py"
    monkeypatch.setattr(manifest, "__file__", str(inner))
    assert manifest.read_commit() is None


def test_repository_without_commits_has_none(tmp_path, monkeypatch):
    monkeypatch.delenv("GIT_DIR", raising=False)
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "models" / "muwnet" / "manifest.py"))
    run_git(tmp_path, "init", "--quiet")
    assert manifest.read_commit() is None


def test_missing_git_program_gives_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert manifest.read_commit() is None


def test_commit_of_this_checkout_has_the_stated_form():
    commit = manifest.read_commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)
