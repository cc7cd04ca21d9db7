"""make_config: which data, whose lineage, which profile; wrong arguments in one sentence."""

import dataclasses

import numpy as np
import pytest

from muwnet_fer.data import rows, source
from muwnet_fer.models.muwnet import packaged_weights
from muwnet_fer.pipeline import config, output_folder


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER2013_CSV", raising=False)
    return tmp_path


def identity(name: str, md5="0123456789abcdef", fraction=None) -> source.DataIdentity:
    return source.DataIdentity(source.Source((), fraction, name), md5, {})


@pytest.mark.parametrize(
    ("data", "lineage"),
    [
        (identity("x.csv", md5="f8428a1edbd21e88f42c73edd2a14f95"), "fer2013"),
        (identity("x.csv", md5="b114b9e04e6949e5fe8b6a98b3892b1d"), "fer2013"),
        (identity("my faces (2).csv"), "my-faces-2"),
        (identity("faces.v2.csv"), "faces-v2"),
        # Names of ours are not for the taking.
        (identity("fer2013.csv"), "fer2013-01234567"),
        (identity("sample.csv"), "sample-01234567"),
        (identity("...csv"), "data"),
        (identity("faces.csv.gz"), "faces"),
        (identity("данные.csv"), "данные"),
        (identity("Faces.TAR.GZ"), "Faces"),
        # A model judged on another private_test is no baseline.
        (identity("fer", fraction=0.5), "fer-private-0-5"),
        (identity("fer", fraction=0.25), "fer-private-0-25"),
    ],
)
def test_lineage(data, lineage):
    assert config.choose_lineage(data) == lineage


def test_sample_is_drawn_once_where_there_is_no_csv(workspace):
    first = config.make_config()
    assert (first.lineage, first.profile.name) == ("sample", "smoke")
    assert first.output.path == workspace / "output" / "sample"
    assert first.data.source.paths[0].parent == first.output.sample
    assert sum(first.data.row_counts.values()) == config.SAMPLE_ROWS
    drawn = first.data.source.paths[0].stat().st_mtime_ns
    assert config.make_config() == first
    assert first.data.source.paths[0].stat().st_mtime_ns == drawn


def test_order_of_the_data(workspace, small_csv, monkeypatch):
    raw = workspace / "data" / "raw" / "fer2013.csv"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(small_csv.read_bytes())
    assert config.make_config().data.source.paths[0] == raw
    other = workspace / "other.csv"
    other.write_bytes(small_csv.read_bytes())
    monkeypatch.setenv("FER2013_CSV", str(other))
    assert config.make_config().data.source.paths[0] == other
    assert config.make_config(data=[str(small_csv)]).data.source.paths[0] == small_csv


def test_real_csv_gets_the_cpu_profile_and_its_own_folder(workspace, small_csv):
    made = config.make_config(data=[str(small_csv)])
    assert (made.lineage, made.profile.name) == ("small", "cpu")
    assert made.output.path == workspace / "output" / "small"
    assert made.output.metadata.parent == made.output.serving_model.parent == made.output.path
    assert made.output.logs.parent == made.output.pipeline_root.parent == made.output.path
    assert config.make_config(data=[str(small_csv)], profile="smoke").profile.name == "smoke"


def test_floors_are_those_of_the_data(small_csv):
    sample = config.make_config()
    assert sample.gates.f1["fear"] == 0.60
    smoke = config.make_config(data=[str(small_csv)], profile="smoke")
    assert smoke.gates.f1["fear"] == pytest.approx(0.125)
    # What was measured on FER2013 says nothing of other faces.
    cpu = config.make_config(data=[str(small_csv)], profile="cpu")
    assert cpu.gates.f1["fear"] == 0.25
    assert cpu.gates == dataclasses.replace(sample, profile=cpu.profile).gates
    fer2013 = dataclasses.replace(cpu, lineage=config.FER2013_LINEAGE)
    assert fer2013.gates.f1["fear"] == 0.464


def test_another_lineages_folder_is_refused(workspace, small_csv):
    config.make_config(output="out")
    with pytest.raises(
        config.ConfigError, match=r"out holds runs of the lineage 'sample'.*'small'"
    ):
        config.make_config(data=[str(small_csv)], output="out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"profile": "huge"},
            "expected a profile of smoke, cpu, cpu-long, lite, paper-1, paper-2, got 'huge'",
        ),
        ({"data": ["nowhere.csv"]}, r"--data: expected a file or folder at .*/nowhere\.csv"),
        ({"data": ["."]}, "--data: expected FER2013's CSV, shards of it or .* got none"),
        ({"data": [""]}, "expected --data to name a file or folder, got ''"),
        ({"private_fraction": 0.5}, "expected --private-fraction with a folder of images"),
        ({"max_bad_rows": -1}, "expected --max-bad-rows of at least 0, got -1"),
        ({"output": ""}, "expected --output to name a folder, got ''"),
        ({"warm_start": ""}, "expected --warm-start to name weights, got ''"),
        ({"warm_start": "gone"}, "--warm-start: expected weights of .*, got '.*/gone'"),
        ({"profile": "lite", "teachers": ["gone"]}, "--teacher: expected weights of .*/gone'"),
    ],
)
def test_wrong_arguments_are_named(workspace, arguments, message):
    with pytest.raises(config.ConfigError, match=message):
        config.make_config(**arguments)
    assert not (workspace / "output").exists()


# === Weights from elsewhere ===


@pytest.fixture
def write_weights(tmp_path):
    """Writes weights that are of a profile's network by their manifest; returns its path."""

    def write(profile: str) -> str:
        muwnet = dataclasses.asdict(config.profiles.PROFILES[profile].muwnet)
        manifest = {"muwnet": muwnet, "temperature": 1.0}
        weights = packaged_weights.Weights(manifest, [np.zeros(3)], "")
        return str(packaged_weights.write(tmp_path / "weights", profile, weights))

    return write


def test_warm_start_trains_slower_into_a_checkpoint_of_its_own(workspace, write_weights):
    path = write_weights("smoke")
    cold = config.make_config()
    warm = config.make_config(warm_start=path)
    rates = [made.profile.muwnet.learning_rate for made in (cold, warm)]
    assert rates[1] == pytest.approx(rates[0] / 10)
    assert cold.warm_start is None
    assert warm.warm_start.name == path
    assert len(warm.warm_start.sha256) == 64
    assert warm.checkpoint_dir != cold.checkpoint_dir
    assert f"start    from the weights {path}" in warm.description
    slow = dataclasses.replace(cold, profile=warm.profile)
    assert slow.checkpoint_dir != warm.checkpoint_dir


def test_warm_start_slows_each_phase(small_csv, write_weights):
    warm = config.make_config([str(small_csv)], "paper-2", warm_start=write_weights("paper-2"))
    rates = [phase.learning_rate for phase in warm.profile.muwnet.phases]
    assert rates == [None, pytest.approx(1e-5), None]


def test_warm_start_needs_no_smaller_faces(small_csv, write_weights):
    cold = config.make_config([str(small_csv)], "cpu")
    warm = config.make_config([str(small_csv)], "cpu", warm_start=write_weights("cpu"))
    assert [phase.input_size for phase in cold.profile.muwnet.phases] == [32, None]
    assert warm.profile.muwnet.phases == cold.profile.muwnet.phases[1:]


def test_warm_start_of_another_network_leaves_nothing(workspace, write_weights):
    with pytest.raises(config.ConfigError, match="profile 'cpu', got others .* fully_connected is"):
        config.make_config(warm_start=write_weights("smoke"), profile="cpu")
    assert not (workspace / "output").exists()


def test_a_profile_has_teachers_of_its_own(small_csv):
    taught = config.make_config([str(small_csv)], "cpu-long")
    assert [teacher.name for teacher in taught.teachers] == ["cpu-long", "cpu"]
    assert [len(teacher.sha256) for teacher in taught.teachers] == [64, 64]


def test_teachers_are_for_profiles_that_learn_from_them(workspace, write_weights):
    teachers = [write_weights("cpu"), write_weights("smoke")]
    taught = config.make_config(profile="lite", teachers=teachers)
    assert [teacher.name for teacher in taught.teachers] == teachers
    assert f"teacher  {teachers[0]}\nteacher  {teachers[1]}" in taught.description
    other = config.make_config(profile="lite", teachers=teachers[:1])
    assert other.checkpoint_dir != taught.checkpoint_dir
    with pytest.raises(config.ConfigError, match="profile that learns from one, got 'smoke'"):
        config.make_config(profile="smoke", teachers=teachers)


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
    made = config.make_config(data=[str(small_csv)], output="out")
    made.link_data()
    assert made.data_links.name == made.data.md5
    again = config.make_config(data=[str(made.data_links)], output="other")
    again.link_data()
    itself = config.make_config(data=[str(again.data_links)], output="other")
    itself.link_data()
    for linked in (made, again, itself):
        (link,) = linked.data_links.iterdir()
        assert link.resolve() == small_csv


def test_bad_data_claims_no_folder(workspace):
    (workspace / "bad.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(rows.MalformedDataError):
        config.make_config(data=["bad.csv"])
    assert [path.name for path in workspace.iterdir()] == ["bad.csv"]


def test_an_empty_claimed_folder_survives_a_kill(workspace):
    """Hidden leavings of a killed run are not somebody's files."""
    (workspace / "out").mkdir()
    (workspace / "out" / ".lineage.json.123.unfinished").write_text("{")
    config.make_config(output="out")


def test_the_description_says_what_was_set_aside_and_drawn(workspace):
    data = source.DataIdentity(
        source.Source((workspace / "faces",), 0.25), "0123", {"train": 1000}, bad_rows=3
    )
    folder = output_folder.OutputFolder(workspace)
    made = config.PipelineConfig(data, "faces", folder, config.profiles.PROFILES["cpu"])
    assert made.description.startswith(
        f"data     {workspace}/faces (not a Kaggle file, 1,000 rows, MD5 0123, "
        "3 bad rows set aside, 25% of `test` drawn as private_test)\n"
    )


def test_checkpoints_are_told_apart_by_data_and_configuration(small_csv, tmp_path):
    made = config.make_config(data=[str(small_csv)], profile="smoke")
    assert made.checkpoint_dir.parent == made.output.checkpoints
    muwnet = dataclasses.replace(made.profile.muwnet, learning_rate=1e-5)
    others = (
        dataclasses.replace(made, profile=dataclasses.replace(made.profile, muwnet=muwnet)),
        dataclasses.replace(made, data=dataclasses.replace(made.data, md5="0" * 32)),
    )
    names = {each.checkpoint_dir.name for each in (made, *others)}
    assert len(names) == 3
    assert {len(name) for name in names} == {16}
    # Neither where the CSV lies nor what the profile is called makes a training another one.
    moved = tmp_path / "moved.csv"
    moved.write_bytes(small_csv.read_bytes())
    same = config.make_config(data=[str(moved)], profile="smoke", output="elsewhere")
    same = dataclasses.replace(same, profile=dataclasses.replace(same.profile, name="other"))
    assert same.checkpoint_dir.name == made.checkpoint_dir.name
