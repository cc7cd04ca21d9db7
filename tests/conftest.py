"""Fixtures shared by all tests; the whole pipeline runs once, for all that start from there."""

import dataclasses
import functools
import os
import pathlib
import re

import pytest
from xdist.scheduler import loadfile

# As the runner does, before any test imports TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from muwnet_fer.data import synthetic  # noqa: E402
from muwnet_fer.models.muwnet import config as muwnet_config  # noqa: E402
from muwnet_fer.tests import commands  # noqa: E402


class OneSmokeRun(loadfile.LoadFileScheduling):
    """Gives each file to one worker, and all that use `smoke_run` to the same: it is made once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "smoke_run" if _takes_smoke_run(self.config.rootpath / file) else file


@functools.cache  # read once: the file may be edited while the tests run
def _takes_smoke_run(path: pathlib.Path) -> bool:
    return bool(re.search(r"^def .*\bsmoke_run\b", path.read_text(encoding="utf-8"), re.M))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return OneSmokeRun(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def small_csv(tmp_path_factory) -> pathlib.Path:
    """A drawn CSV of 210 rows: 168 train, 21 public_test, 21 private_test."""
    path = tmp_path_factory.mktemp("data") / "small.csv"
    synthetic.synthesize(path, 210, seed=7)
    return path


@pytest.fixture(scope="session")
def fer2013_csv() -> pathlib.Path:
    """The real FER2013; where FER2013_CSV does not name it, the test is skipped."""
    path = os.environ.get("FER2013_CSV")
    if not path:
        pytest.skip("FER2013_CSV is not set")
    return pathlib.Path(path)


@pytest.fixture(scope="session")
def tiny_config() -> muwnet_config.MuWNetConfig:
    """Every kind of block, augmentation and dropout, in 1,109 parameters."""
    return muwnet_config.MuWNetConfig(
        stages=(
            muwnet_config.Stage("convolution", 4),
            muwnet_config.Stage("residual", 6),
            muwnet_config.Stage("separable", 8),
        ),
        input_size=48,
        fully_connected=16,
        dropout=0.2,
        batch_size=16,
        optimizer="sgd",
        learning_rate=0.05,
        schedule="constant",
        phases=(muwnet_config.Phase(2),),
        seed=5,
    )


@dataclasses.dataclass(frozen=True)
class SmokeRun:
    """The pipeline run once on the sample through the `tfx` command."""

    workspace: pathlib.Path  # the working directory of the commands
    output: pathlib.Path
    created: commands.Command
    existed_after_create: frozenset[str]
    run: commands.Command

    def versions(self) -> list[str]:
        return sorted(path.name for path in (self.output / "serving_model").iterdir())

    def evaluated_model(self) -> pathlib.Path:
        return self.output / "serving_model" / self.versions()[0]


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory) -> SmokeRun:
    workspace = tmp_path_factory.mktemp("smoke")
    output = workspace / "output"
    created = commands.create_by_tfx(workspace, MUWNET_OUTPUT=str(output))
    existed = frozenset(path.name for path in output.iterdir()) if output.exists() else frozenset()
    run = commands.run_by_tfx(workspace, MUWNET_OUTPUT=str(output))
    return SmokeRun(workspace, output, created, existed, run)
