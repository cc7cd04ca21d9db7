"""What a run printed and left behind, as tests ask for it."""

import pathlib
import re

from muwnet_fer.tests import commands


def read_component_lines(output: str) -> dict[str, str]:
    """Returns "cached" or a time by component."""
    lines = re.findall(r"^(\w+) +(cached|[\d.]+ s)$", output, re.MULTILINE)
    return dict(lines)


def newest(output: pathlib.Path, node: str, key: str) -> pathlib.Path:
    return max((output / "pipeline_root" / node / key).iterdir(), key=lambda path: int(path.name))


def assert_clean(command: commands.Command) -> None:
    """No traceback, no page of somebody's warnings."""
    for noise in ("Traceback", "Warning", "WARNING", "I0000", "E0000"):
        assert noise not in command.output, command.output
