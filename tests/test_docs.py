"""Documents that repeat what the code says, held against it."""

import re

import pytest

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model
from muwnet_fer.tests import commands


def test_muwnet_md_lists_each_layer_with_its_source():
    text = (commands.ROOT / "docs" / "muwnet.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\dx]+) \| ([\d,]+) \| (.+) \|$", text, re.M)
    built = model.build_muwnet(muwnet_config.PAPER_1)
    expected = [
        (
            layer.name,
            type(layer).__name__,
            "x".join(map(str, layer.output.shape[1:])),
            f"{layer.count_params():,}",
        )
        for layer in built.layers
    ]
    assert [row[:4] for row in rows] == expected
    assert all(row[4].startswith(("paper: ", "ours: ")) for row in rows)


@pytest.mark.parametrize("command", ["setup", "run", "test", "lint", "format", "clean"])
def test_readme_and_makefile_agree(command):
    assert re.search(rf"^{command}:", (commands.ROOT / "Makefile").read_text(), re.M)
    assert f"make {command}" in (commands.ROOT / "README.md").read_text()
