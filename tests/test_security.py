"""Reading a model file or an array runs no code: what SECURITY.md says and no other test holds."""

import re
import zipfile

import keras
import numpy as np
import pytest

from muwnet_fer.tests import commands

# Safe is the default of both libraries; the rest of the rules is in pyproject.toml, for ruff.
UNSAFE_ARGUMENT = re.compile(r"safe_mode\s*=\s*(?!True\b)|allow_pickle\s*=\s*(?!False\b)")
FOLDERS = ("components", "data", "models", "pipeline", "serving", "kubeflow")
SOURCES = [path for folder in FOLDERS for path in sorted((commands.ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(commands.ROOT)))
def test_no_source_leaves_the_safe_defaults(path):
    assert not UNSAFE_ARGUMENT.findall(path.read_text())


@pytest.mark.parametrize(
    ("line", "unsafe"),
    [
        ("keras.saving.load_model(path)", False),
        ("keras.saving.load_model(path, safe_mode=True)", False),
        ("keras.saving.load_model(path, safe_mode=False)", True),
        ("keras.saving.load_model(path, safe_mode = trusted)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("np.load(path, allow_pickle=True)", True),
    ],
)
def test_unsafe_arguments_are_told_from_safe_ones(line, unsafe):
    assert bool(UNSAFE_ARGUMENT.findall(line)) == unsafe


def test_keras_refuses_a_model_file_with_code_in_it(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="safe_mode"):
        keras.saving.load_model(tmp_path / "code.keras")


def test_numpy_refuses_an_archive_with_a_pickle_in_it(tmp_path):
    np.savez(tmp_path / "code.npz", weights=np.array([print], object))
    assert b"builtins" in zipfile.ZipFile(tmp_path / "code.npz").read("weights.npy")
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "code.npz")["weights"]


def test_every_ignored_advisory_has_a_reason_and_a_pin():
    text = (commands.ROOT / "SECURITY.md").read_text()
    reasons = dict(re.findall(r"^\| ([A-Z]+-[\w-]+)[^|]*\| ([^|]+) \| .{20}", text, re.M))
    ignored = re.findall(
        r"^([A-Z]+-[\w-]+)  # (.+)$",
        (commands.ROOT / "requirements" / "audit-ignore.txt").read_text(),
        re.M,
    )
    assert dict(ignored) == reasons
    pins = (commands.ROOT / "requirements" / "lock-py311.txt").read_text().splitlines()
    # A pin that moved on may no longer need its exception.
    assert {package.replace(" ", "==") for _, package in ignored} <= set(pins)
