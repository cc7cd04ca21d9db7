"""The base install, as pip makes it: a client without TensorFlow."""

import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import tomllib
from importlib import metadata

import packaging.requirements
import pytest

from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import server_process

LOCK = commands.ROOT / "requirements" / "lock-py311.txt"


@dataclasses.dataclass(frozen=True)
class BaseInstall:
    """A virtual environment with the wheel and its base dependencies alone."""

    bin: pathlib.Path

    def run(self, *arguments, cwd: pathlib.Path) -> tuple[subprocess.CompletedProcess, float]:
        """Runs its `muwnet-fer`; returns the process and the seconds of CPU that it took."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.run(
            [self.bin / "muwnet-fer", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return process, used


@pytest.fixture(scope="module")
def base_install(tmp_path_factory) -> BaseInstall:
    folder = tmp_path_factory.mktemp("base_install")
    source = commands.copy_package(folder / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    # The versions that are tested; a resolver is tried by no test.
    subprocess.run([*pip, "--python", python, "install", "-c", LOCK, wheel], check=True)
    return BaseInstall(python.parent)


def test_no_tensorflow_comes_with_it(base_install):
    script = "import importlib.util as u; print(u.find_spec('tensorflow'), u.find_spec('tfx'))"
    found = subprocess.run([base_install.bin / "python", "-c", script], capture_output=True)
    assert found.stdout.split() == [b"None", b"None"]


@pytest.mark.parametrize(
    "command", ["", "run", "serve", "predict", "webcam", "promote", "data check", "weights verify"]
)
def test_help_of_every_command_is_there(base_install, tmp_path, command):
    helped, seconds = base_install.run(*command.split(), "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert seconds < 1


def test_a_first_prediction_takes_a_second_of_cpu(
    base_install, client_model_dir, client_portrait, tmp_path
):
    with server_process.serve("--model-dir", client_model_dir, cwd=tmp_path) as server:
        predicted, seconds = base_install.run(
            "predict", client_portrait, "--server", server.address, "--json", cwd=tmp_path
        )
    assert predicted.returncode == 0, predicted.stderr
    (face,) = json.loads(predicted.stdout)["faces"]
    assert face["label"] in face["probabilities"]
    assert seconds < 1


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run",), "pipeline"),
        (("prune", "--keep", "1"), "pipeline"),
        (("data", "download"), "pipeline"),
        (("serve",), "local"),
        (("predict", "."), "local"),
        (("weights", "verify", "--data", "a.csv"), "local"),
    ],
)
def test_what_needs_more_says_which_extra(base_install, tmp_path, arguments, extra):
    (tmp_path / "a.csv").write_text("emotion,pixels,Usage\n")
    (tmp_path / "a.png").write_bytes(b"")
    command, _ = base_install.run(*arguments, cwd=tmp_path)
    assert command.returncode == 2
    assert f"expected muwnet-fer[{extra}] for {arguments[0]}" in command.stderr
    assert f"pip install 'muwnet-fer[{extra}]'" in command.stderr
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("webcam", "--source", "nowhere.mp4"), "nowhere.mp4"),
        (("rollback",), "expected one model_config.pbtxt"),
        (("data", "check", "a.csv"), "a.csv"),
    ],
)
def test_the_client_side_works_without_tensorflow(base_install, tmp_path, arguments, message):
    (tmp_path / "a.csv").write_text("no faces")
    command, _ = base_install.run(*arguments, cwd=tmp_path)
    assert message in command.stdout + command.stderr
    assert "Traceback" not in command.stderr


def test_the_lock_is_within_the_bounds_of_every_extra():
    project = tomllib.loads((commands.ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    for requirement in map(packaging.requirements.Requirement, stated):
        if requirement.name != "muwnet-fer":
            version = metadata.version(requirement.name)
            assert requirement.specifier.contains(version), (str(requirement), version)
