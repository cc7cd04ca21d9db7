"""The arrows of the architecture: data <- models <- components <- pipeline; data <- serving."""

import pathlib

import pytest

from muwnet_fer.pipeline import source_fingerprint

ROOT = pathlib.Path(__file__).parents[2]
MAY_IMPORT = {
    "data": {"data"},
    "components": {"components", "models", "data"},
    "models": {"models", "data"},
    "pipeline": {"pipeline", "components", "models", "data"},
    "serving": {"serving", "data"},
}
FILES = [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_folder_imports_only_what_it_may(path):
    folder = path.relative_to(ROOT).parts[0]
    imported = {name.split(".")[1] for name in source_fingerprint.list_imports(path) if "." in name}
    assert imported <= MAY_IMPORT[folder]


def test_setup_lists_every_package():
    """A folder that setup.py forgets is missing from an installed copy, not from a checkout."""
    setup = (ROOT / "setup.py").read_text()
    for path in FILES:
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert f'"{package}"' in setup
