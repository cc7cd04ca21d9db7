"""The command line: help at once, every mistake in one sentence and a non-zero exit."""

import time

import pytest

from muwnet_fer.tests import commands


def test_help_answers_in_half_a_second(tmp_path):
    """The best of five, for a busy machine."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        command = commands.run_command("muwnet-fer", "--help", cwd=tmp_path)
        seconds.append(time.perf_counter() - started)
        assert command.exit_code == 0
        assert "run " in command.output
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--profile", "huge"), "error: expected a profile of smoke, cpu"),
        (("run", "--data", "nowhere.csv"), "error: --data: expected a file or folder"),
        (("run", "--nonsense"), "No such option"),
        (("data", "synthesize", "--rows", "3", "b.csv"), "expected at least 70 rows"),
        (("data", "synthesize", "--rows", "70", "a.csv/b.csv"), "cannot write a.csv/b.csv"),
        (("data", "synthesize", "--rows", "70", "a.csv"), "expected a.csv not to be there yet"),
    ],
)
def test_mistakes_are_answered_without_a_traceback(tmp_path, arguments, message):
    (tmp_path / "a.csv").write_text("kept")
    command = commands.run_command("muwnet-fer", *arguments, cwd=tmp_path)
    assert command.exit_code != 0
    assert message in command.output
    assert "Traceback" not in command.output
    assert (tmp_path / "a.csv").read_text() == "kept"


def test_unknown_component_is_answered_with_the_known_ones(tmp_path, small_csv):
    command = commands.run_command(
        "muwnet-fer", "run", "--data", small_csv, "--to", "Nonsense", cwd=tmp_path
    )
    assert command.exit_code == 2
    assert "expected --to to name a component of CuratedSchemaGen" in command.output
    assert "got 'Nonsense'" in command.output


def test_synthesize_writes_the_asked_rows(tmp_path):
    command = commands.run_command(
        "muwnet-fer", "data", "synthesize", "--rows", "70", "--seed", "5", "a.csv", cwd=tmp_path
    )
    assert command.exit_code == 0, command.output
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 71
