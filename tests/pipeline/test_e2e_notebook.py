"""docs/slices.ipynb, executed on a real run."""

import nbclient
import nbformat
import pytest

from muwnet_fer.tests import commands

pytestmark = pytest.mark.e2e

NOTEBOOK = commands.ROOT / "docs" / "slices.ipynb"


def test_notebook_shows_the_slices_of_a_run(smoke_run, monkeypatch, tmp_path):
    monkeypatch.setenv("MUWNET_OUTPUT", str(smoke_run.output))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "expected it without outputs"
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [
        str(data)
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for data in (output.get("data") or {"text": output.get("text")}).values()
    ]
    text = "\n".join(shown)
    assert "TFMA measured 24 slices" in text
    assert "15 slices agree" in text
    assert "sharpness q5" in text
    assert "<svg" in text
