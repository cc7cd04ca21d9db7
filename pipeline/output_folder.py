"""What lies where in an output folder, and whose it is: `output/<lineage>/`."""

import dataclasses
import json
import os
import pathlib

from muwnet_fer.data import atomic_file, model_config

_LINEAGE_FILE = "lineage.json"


class OutputFolderError(ValueError):
    """A folder that cannot be used; the message says which and why."""


@dataclasses.dataclass(frozen=True)
class OutputFolder:
    """The layout; `path` is absolute."""

    path: pathlib.Path

    @property
    def data(self) -> pathlib.Path:
        """Links to the data of the runs."""
        return self.path / "data"

    @property
    def sample(self) -> pathlib.Path:
        """The drawn sample."""
        return self.path / "sample"

    @property
    def metadata(self) -> pathlib.Path:
        """ML Metadata's SQLite file."""
        return self.path / "metadata.db"

    @property
    def pipeline_root(self) -> pathlib.Path:
        """Where TFX keeps the artifacts."""
        return self.path / "pipeline_root"

    @property
    def serving_model(self) -> pathlib.Path:
        """Where a server looks for versions."""
        return self.path / "serving_model"

    @property
    def model_config(self) -> pathlib.Path:
        """The file that names the versions a server loads."""
        return self.path / model_config.FILE_NAME

    @property
    def checkpoints(self) -> pathlib.Path:
        """Trainings, a folder each."""
        return self.path / "checkpoints"

    @property
    def runs(self) -> pathlib.Path:
        """What is known of each run, a folder each."""
        return self.path / "runs"

    @property
    def report(self) -> pathlib.Path:
        """The site about the latest run, or the one that was asked for."""
        return self.path / "report"

    @property
    def logs(self) -> pathlib.Path:
        """Full logs of all runs."""
        return self.path / "logs"


def claim(path: pathlib.Path, lineage: str) -> OutputFolder:
    """Creates a folder and marks whose it is.

    Raises:
      OutputFolderError: for another lineage's folder, one with other files in it, or one that
        cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        owner = read_owner(path)
        # Hidden files do not count: a killed run may have left one.
        if owner is None and any(file.name[0] != "." for file in path.iterdir()):
            raise OutputFolderError(
                f"expected an empty folder or one of an earlier run, got {path} with other files "
                "in it: name another with --output"
            )
        if owner is None:
            with atomic_file.replace(path / _LINEAGE_FILE) as unfinished:
                unfinished.write_text(json.dumps({"lineage": lineage}) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputFolderError(f"cannot use the output folder {path}: {error.strerror}") from error
    if owner not in (None, lineage):
        raise OutputFolderError(
            f"{path} holds runs of the lineage {owner!r}, this data is of {lineage!r}: "
            "name another folder with --output"
        )
    return OutputFolder(path)


def find_claimed(path: str | None, root: pathlib.Path) -> list[OutputFolder]:
    """Returns one output folder, or all in `root` where `path` is None.

    Raises:
      OutputFolderError: where there is none.
    """
    if path is None:
        named = root.absolute()
        paths = sorted(named.iterdir()) if named.is_dir() else []
    else:
        named = pathlib.Path(os.path.expanduser(path)).absolute()
        paths = [named]
    owned = [OutputFolder(path) for path in paths if read_owner(path) is not None]
    if not owned:
        raise OutputFolderError(
            f"expected output folders of runs at {named}, got none: name one with --output"
        )
    return owned


def read_owner(path: pathlib.Path) -> str | None:
    """Returns the lineage of which a folder holds runs, None where nobody claimed it.

    Raises:
      OutputFolderError: where the mark is not as `claim` writes it.
      OSError: where it cannot be read.
    """
    marker = path / _LINEAGE_FILE
    if not marker.exists():
        return None
    try:
        return json.loads(marker.read_text(encoding="utf-8"))["lineage"]
    except (ValueError, KeyError, TypeError) as error:
        raise OutputFolderError(
            f'expected {marker} to hold {{"lineage": ...}}, got something else'
        ) from error
