"""FER2013 from Kaggle: whole and by its MD5, or one clear message and nothing left behind.

Kaggle's real client runs in all of these; Kaggle is the machine's own stand-in.
"""

import hashlib
import io
import os
import pathlib
import tarfile
import zipfile
from typing import BinaryIO

import numpy as np
import pytest

from muwnet_fer.data import download, fer2013
from muwnet_fer.tests import commands
from muwnet_fer.tests.data import kaggle_stand_in


def make_tar(name: str, content: BinaryIO, size: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        archive.addfile(tarfile.TarInfo("fer2013/README"))
        member = tarfile.TarInfo(name)
        member.size = size
        archive.addfile(member, content)
    return file.getvalue()


def make_small_tar(name: str, content: bytes) -> bytes:
    return make_tar(name, io.BytesIO(content), len(content))


def make_zip(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def workspace(tmp_path) -> pathlib.Path:
    """Where the command runs: nothing but what it writes."""
    (tmp_path / "home").mkdir()
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def run_download(workspace, **environment) -> commands.Command:
    return commands.run_command("muwnet-fer", "data", "download", cwd=workspace, **environment)


def list_files(folder: pathlib.Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def assert_refused(command: commands.Command, workspace: pathlib.Path, message: str) -> None:
    """Checks for one message with the manual steps, and for no file."""
    assert command.exit_code == 1
    assert command.output.startswith("Error: ")
    assert message in command.output.splitlines()[0]
    assert command.output.endswith(f"By hand:\n{download.MANUAL_STEPS}\n")
    assert list_files(workspace) == []


def assert_download_fails(workspace, monkeypatch, environment, message: str) -> None:
    """The same in this process: importing the client takes a process most of a second."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(download.DownloadError) as failure:
        download.download(workspace / "data" / "faces.csv")
    assert message in str(failure.value).splitlines()[0]
    assert str(failure.value).endswith(download.MANUAL_STEPS)
    assert list_files(workspace) == []


# === What Kaggle hands out ===


@pytest.mark.real_data
def test_kaggle_s_archive_becomes_the_real_csv(workspace, fer2013_csv):
    with open(fer2013_csv, "rb") as file:
        archive = make_tar("fer2013/fer2013.csv", file, fer2013_csv.stat().st_size)
    with kaggle_stand_in.serve(workspace.parent, {"fer2013.tar.gz": archive}) as kaggle:
        command = run_download(workspace, **kaggle.environment)
        assert command.output == "data/raw/fer2013.csv: downloaded, MD5 as Kaggle's\n"
        assert command.exit_code == 0
        assert list_files(workspace) == ["data/raw/fer2013.csv"]
        with open(workspace / "data/raw/fer2013.csv", "rb") as file:
            md5 = hashlib.md5(file.read()).hexdigest()
        assert md5 in fer2013.KAGGLE_MD5

        again = run_download(workspace, **kaggle.environment)
        assert again.output == "data/raw/fer2013.csv: here already, MD5 as Kaggle's\n"
        assert again.exit_code == 0
        assert kaggle.asked == ["fer2013.tar.gz"]


CSV = b"emotion,pixels,Usage\n0,1 2 3,Training\n"
CSV_MD5 = hashlib.md5(CSV).hexdigest()


@pytest.mark.parametrize(
    ("files", "asked"),
    [
        pytest.param({"fer2013.tar.gz": make_small_tar("fer2013/fer2013.csv", CSV)}, 1, id="tar"),
        pytest.param(
            {"fer2013.tar.gz": make_small_tar("../../../fer2013.csv", CSV)}, 1, id="far away"
        ),
        pytest.param({"icml_face_data.csv": make_zip("icml_face_data.csv", CSV)}, 2, id="zip"),
        pytest.param({"icml_face_data.csv": CSV}, 2, id="CSV"),
    ],
)
def test_csv_is_found_in_each_form(workspace, monkeypatch, files, asked):
    monkeypatch.setitem(fer2013.KAGGLE_MD5, CSV_MD5, "small.csv")
    with kaggle_stand_in.serve(workspace.parent, files) as kaggle:
        for name, value in kaggle.environment.items():
            monkeypatch.setenv(name, value)
        assert download.download(workspace / "new" / "faces.csv")
        assert len(kaggle.asked) == asked
        assert not download.download(workspace / "new" / "faces.csv")
        assert len(kaggle.asked) == asked
    assert list_files(workspace) == ["new/faces.csv"]
    assert (workspace / "new" / "faces.csv").read_bytes() == CSV


# === What is refused ===


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        pytest.param(
            make_small_tar("fer2013/other.csv", b"a,b\n1,2\n"),
            "expected one CSV with the columns emotion, pixels, Usage",
            id="other CSV",
        ),
        pytest.param(
            make_small_tar("fer2013/fer2013.csv", CSV + np.random.default_rng(1).bytes(9999))[
                :5000
            ],
            "fer2013.tar.gz: expected a whole archive",
            id="cut short",
        ),
    ],
)
def test_archives_without_the_csv_are_refused(workspace, monkeypatch, archive, message):
    with kaggle_stand_in.serve(workspace.parent, {"fer2013.tar.gz": archive}) as kaggle:
        assert_download_fails(workspace, monkeypatch, kaggle.environment, message)


def test_csv_is_not_unpacked_without_end(workspace, monkeypatch):
    zeros = workspace.parent / "zeros.csv"
    zeros.write_bytes(CSV)
    os.truncate(zeros, 2**29 + 1)
    with open(zeros, "rb") as file:
        bomb = make_tar("fer2013.csv", file, 2**29 + 1)
    with kaggle_stand_in.serve(workspace.parent, {"fer2013.tar.gz": bomb}) as kaggle:
        assert_download_fails(workspace, monkeypatch, kaggle.environment, "at most 536870912 bytes")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "expected credentials that Kaggle knows"),
        (403, "expected the competition's rules to be accepted"),
        (404, "expected fer2013.tar.gz or icml_face_data.csv at https://www.kaggle.com"),
        (500, "got HTTP status 500"),
    ],
)
def test_what_kaggle_refuses_is_explained(workspace, monkeypatch, status, message):
    with kaggle_stand_in.serve(workspace.parent, {}, status) as kaggle:
        assert_download_fails(workspace, monkeypatch, kaggle.environment, message)


def test_broken_credentials_are_named(workspace, monkeypatch):
    home = workspace.parent / "home"
    (home / "kaggle.json").write_text("{")
    assert_download_fails(
        workspace,
        monkeypatch,
        kaggle_stand_in.make_environment_without_credentials(home),
        f"Invalid Kaggle credentials file at {home}/kaggle.json",
    )


def test_other_bytes_than_kaggle_s_are_refused(workspace):
    archive = make_small_tar("fer2013/fer2013.csv", CSV)
    with kaggle_stand_in.serve(workspace.parent, {"fer2013.tar.gz": archive}) as kaggle:
        command = run_download(workspace, **kaggle.environment)
    assert_refused(command, workspace, f"from Kaggle, got {CSV_MD5}")


def test_without_credentials_they_are_asked_for(workspace):
    command = run_download(
        workspace, **kaggle_stand_in.make_environment_without_credentials(workspace.parent / "home")
    )
    assert_refused(command, workspace, "expected Kaggle credentials")


def test_without_a_network_that_is_said(workspace):
    # Nothing listens at port 9, "discard", of this machine.
    nothing = kaggle_stand_in.make_environment(workspace.parent / "home", 9, pathlib.Path("none"))
    del nothing["REQUESTS_CA_BUNDLE"]
    assert_refused(run_download(workspace, **nothing), workspace, "expected to reach Kaggle")


def test_full_disk_leaves_nothing_behind(workspace):
    """A limit on a file's size is the nearest to a full disk that needs no rights."""
    archive = make_small_tar("fer2013/fer2013.csv", CSV * 10_000)
    with kaggle_stand_in.serve(workspace.parent, {"fer2013.tar.gz": archive}) as kaggle:
        limited = "ulimit -f 100; exec muwnet-fer data download"
        command = commands.run_command("bash", "-c", limited, cwd=workspace, **kaggle.environment)
    assert_refused(command, workspace, "data/raw/fer2013.csv: expected to write there, got [Errno")


@pytest.mark.parametrize("name", ["raw/fer2013.csv", "fer2013.csv"])
def test_another_file_is_never_overwritten(workspace, name):
    target = workspace / name
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(CSV)
    command = commands.run_command("muwnet-fer", "data", "download", "--to", name, cwd=workspace)
    assert command.exit_code == 1
    assert command.output == (
        f"Error: expected {name} to be missing or one of Kaggle's CSVs by its MD5, "
        "got another file\n"
    )
    assert target.read_bytes() == CSV
    assert list_files(workspace) == [name]


# === The document ===


def test_data_readme_has_the_steps_that_the_command_shows():
    text = (commands.ROOT / "data" / "README.md").read_text()
    assert download.MANUAL_STEPS in text
    assert "muwnet-fer data download" in text
