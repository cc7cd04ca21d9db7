"""Source fingerprints: an edit of a module that a node imports changes it, no other edit does."""

import pathlib
import shutil

import pytest

from muwnet_fer.pipeline import source_fingerprint

ROOT = pathlib.Path(__file__).parents[2]
# The modules that create_pipeline takes fingerprints of, and some module behind each.
NODES = {
    "muwnet_fer.components.curated_schema_gen.executor": (
        "muwnet_fer.components.curated_schema_gen.executor"
    ),
    "muwnet_fer.components.fer2013_example_gen.component": "muwnet_fer.data.image_statistics",
    "muwnet_fer.components.anomaly_gate.executor": "muwnet_fer.components.anomaly_gate.executor",
    "muwnet_fer.models.muwnet.preprocessing": "muwnet_fer.data.fer2013",
    "muwnet_fer.models.muwnet.trainer": "muwnet_fer.models.muwnet.layers",
    "muwnet_fer.components.predictor.executor": "muwnet_fer.components.predictor.artifacts",
    "muwnet_fer.pipeline.metrics": "muwnet_fer.data.fer2013",
    "muwnet_fer.components.atomic_pusher.executor": (
        "muwnet_fer.components.atomic_pusher.versions"
    ),
}


@pytest.fixture
def package(tmp_path) -> pathlib.Path:
    for folder in ("components", "data", "models", "pipeline"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "raw")
        )
    return tmp_path


@pytest.mark.parametrize(("module", "behind"), NODES.items())
def test_an_edit_of_any_imported_module_changes_the_fingerprint(package, module, behind):
    before = source_fingerprint.compute(module, root=package)
    files = source_fingerprint.collect(module, root=package)
    assert {module, behind} <= set(files)
    for path in files.values():
        text = path.read_text()
        path.write_text(text + "# edited\n")
        assert source_fingerprint.compute(module, root=package) != before, path
        path.write_text(text)
    assert source_fingerprint.compute(module, root=package) == before


def test_an_edit_elsewhere_does_not(package):
    before = source_fingerprint.compute("muwnet_fer.models.muwnet.preprocessing", root=package)
    for other in ("models/muwnet/trainer.py", "pipeline/verdict.py", "data/synthetic.py"):
        path = package / other
        path.write_text(path.read_text() + "# edited\n")
    after = source_fingerprint.compute("muwnet_fer.models.muwnet.preprocessing", root=package)
    assert after == before


def test_imports_within_functions_count(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "import os\n"
        "import muwnet_fer.data.fer2013 as facts\n"
        "def f():\n    from muwnet_fer.pipeline import config, console\n"
    )
    assert source_fingerprint.list_imports(path) == {
        "muwnet_fer.data.fer2013",
        "muwnet_fer.pipeline",
        "muwnet_fer.pipeline.config",
        "muwnet_fer.pipeline.console",
    }


def test_unknown_module_is_an_error():
    with pytest.raises(FileNotFoundError, match="got muwnet_fer.nothing"):
        source_fingerprint.compute("muwnet_fer.nothing")
