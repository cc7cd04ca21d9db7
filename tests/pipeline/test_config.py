"""make_config: which data, whose lineage, which profile; wrong arguments in one sentence."""

import dataclasses

import pytest

from muwnet_fer.data import csv_file
from muwnet_fer.pipeline import config


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER2013_CSV", raising=False)
    return tmp_path


def identity(name: str, md5: str = "0123456789abcdef") -> csv_file.DataIdentity:
    return csv_file.DataIdentity(config.pathlib.Path(name), md5, {})


@pytest.mark.parametrize(
    ("data", "lineage"),
    [
        (identity("x.csv", "f8428a1edbd21e88f42c73edd2a14f95"), "fer2013"),
        (identity("x.csv", "b114b9e04e6949e5fe8b6a98b3892b1d"), "fer2013"),
        (identity("my faces (2).csv"), "my-faces-2"),
        (identity("faces.v2.csv"), "faces-v2"),
        # Names of ours are not for the taking.
        (identity("fer2013.csv"), "fer2013-01234567"),
        (identity("sample.csv"), "sample-01234567"),
        (identity("...csv"), "data"),
    ],
)
def test_lineage(data, lineage):
    assert config.choose_lineage(data) == lineage


def test_sample_is_drawn_once_where_there_is_no_csv(workspace):
    first = config.make_config()
    assert (first.lineage, first.profile.name) == ("sample", "smoke")
    assert first.output == workspace / "output" / "sample"
    assert first.data.path.parent == first.output / "sample"
    assert sum(first.data.rows.values()) == config.SAMPLE_ROWS
    drawn = first.data.path.stat().st_mtime_ns
    assert config.make_config() == first
    assert first.data.path.stat().st_mtime_ns == drawn


def test_order_of_the_data(workspace, small_csv, monkeypatch):
    raw = workspace / "data" / "raw" / "fer2013.csv"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(small_csv.read_bytes())
    assert config.make_config().data.path == raw
    other = workspace / "other.csv"
    other.write_bytes(small_csv.read_bytes())
    monkeypatch.setenv("FER2013_CSV", str(other))
    assert config.make_config().data.path == other
    assert config.make_config(csv=str(small_csv)).data.path == small_csv


def test_real_csv_gets_the_cpu_profile_and_its_own_folder(workspace, small_csv):
    made = config.make_config(csv=str(small_csv))
    assert (made.lineage, made.profile.name) == ("small", "cpu")
    assert made.output == workspace / "output" / "small"
    assert made.metadata_path.parent == made.serving_model_dir.parent == made.output
    assert made.log_dir.parent == made.pipeline_root.parent == made.output
    assert config.make_config(csv=str(small_csv), profile="smoke").profile.name == "smoke"


def test_smokes_floors_are_low_off_the_sample(small_csv):
    sample = config.make_config()
    elsewhere = config.make_config(csv=str(small_csv), profile="smoke")
    assert sample.gates.f1["fear"] == 0.60
    assert elsewhere.gates.f1["fear"] == pytest.approx(0.125)
    cpu = config.make_config(csv=str(small_csv), profile="cpu")
    assert cpu.gates == dataclasses.replace(sample, profile=cpu.profile).gates


def test_another_lineages_folder_is_refused(workspace, small_csv):
    config.make_config(output="out")
    with pytest.raises(
        config.ConfigError, match=r"out holds runs of the lineage 'sample'.*'small'"
    ):
        config.make_config(csv=str(small_csv), output="out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "huge"}, "expected a profile of smoke, cpu, paper-1, paper-2, got 'huge'"),
        ({"csv": "nowhere.csv"}, r"expected --data to name a CSV file, got .*/nowhere\.csv"),
        ({"csv": "."}, "expected --data to name a CSV file"),
        ({"csv": ""}, "expected --data to name a CSV file"),
        ({"output": ""}, "expected --output to name a folder, got ''"),
    ],
)
def test_wrong_arguments_are_named(workspace, arguments, message):
    with pytest.raises(config.ConfigError, match=message):
        config.make_config(**arguments)
    assert not (workspace / "output").exists()


def test_a_folder_with_other_files_is_left_alone(workspace):
    (workspace / "mine").mkdir()
    (workspace / "mine" / "sample.csv").write_text("precious")
    with pytest.raises(config.ConfigError, match="expected an empty folder or one of an earlier"):
        config.make_config(output="mine")
    assert [path.name for path in (workspace / "mine").iterdir()] == ["sample.csv"]


def test_output_that_is_a_file_is_named(workspace):
    (workspace / "out").write_text("")
    with pytest.raises(config.ConfigError, match="cannot use the output folder .*/out"):
        config.make_config(output="out")


def test_the_link_leads_to_the_csv_even_when_it_names_itself(small_csv):
    made = config.make_config(csv=str(small_csv), output="out")
    assert made.csv_link.name == f"{made.data.md5}.csv"
    again = config.make_config(csv=str(made.csv_link), output="other")
    itself = config.make_config(csv=str(again.csv_link), output="other")
    for link in (made.csv_link, again.csv_link, itself.csv_link):
        assert link.resolve() == small_csv
