"""PipelineConfig: which data, which profile, where everything goes. No TFX here, so that a wrong
path or name is answered at once.
"""

import dataclasses
import json
import os
import pathlib
import re

from muwnet_fer.data import csv_file, synthetic
from muwnet_fer.pipeline import profiles, source_fingerprint

PIPELINE_NAME = "muwnet-fer"
DEFAULT_CSV = pathlib.Path("data/raw/fer2013.csv")
OUTPUT = pathlib.Path("output")
SAMPLE_LINEAGE, FER2013_LINEAGE = "sample", "fer2013"
SAMPLE_ROWS, SAMPLE_SEED = 3500, 1
_LINEAGE_FILE = "lineage.json"


class ConfigError(ValueError):
    """An argument that cannot be run with; the message says which and what was expected."""


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """One run's choices. Paths are absolute; `lineage` keeps models of other data apart."""

    data: csv_file.DataIdentity
    lineage: str
    output: pathlib.Path
    profile: profiles.Profile

    @property
    def csv_link(self) -> pathlib.Path:
        """Link to the CSV, named by its content: TFX's cache keys hold the path, too."""
        return self.output / "data" / f"{self.data.md5}.csv"

    @property
    def metadata_path(self) -> pathlib.Path:
        """ML Metadata's SQLite file."""
        return self.output / "metadata.db"

    @property
    def pipeline_root(self) -> pathlib.Path:
        """Where TFX keeps the artifacts."""
        return self.output / "pipeline_root"

    @property
    def serving_model_dir(self) -> pathlib.Path:
        """Where a server looks for versions."""
        return self.output / "serving_model"

    @property
    def log_dir(self) -> pathlib.Path:
        """Full logs of all runs."""
        return self.output / "logs"

    @property
    def gates(self) -> profiles.Gates:
        """The profile's gates for this data."""
        if self.lineage == SAMPLE_LINEAGE:
            return self.profile.gates
        return self.profile.gates_off_sample or self.profile.gates

    @property
    def description(self) -> str:
        """Data and profile in two lines, for people."""
        rows = sum(self.data.rows.values())
        kind = "drawn faces" if self.lineage == SAMPLE_LINEAGE else self.data.kaggle_name
        identity = f"{kind or 'not a Kaggle file'}, {rows:,} rows, MD5 {self.data.md5}"
        return (
            f"data     {self.data.path} ({identity})\n"
            f"profile  {self.profile.name}, expected time {self.profile.expected_time}"
        )


def make_config(
    csv: str | None = None, profile: str | None = None, output: str | None = None
) -> PipelineConfig:
    """Returns the config of a run and claims its output folder for the data's lineage.

    Args:
      csv: path of the CSV; else FER2013_CSV of the environment, data/raw/fer2013.csv, or the
        sample, whichever is there first.
      profile: name; else `smoke` on the sample and `cpu` on other data.
      output: folder in place of output/<lineage>.

    Raises:
      ConfigError: for a profile or file that is not there, or another lineage's folder.
    """
    if profile is not None and profile not in profiles.PROFILES:
        raise ConfigError(f"expected a profile of {', '.join(profiles.PROFILES)}, got {profile!r}")
    path = _find_csv(csv)
    if path is None:
        folder = _claim(output, SAMPLE_LINEAGE)
        # Named by the code that drew it: a file that is there is the one this code would draw.
        path = folder / "sample" / f"{source_fingerprint.compute(synthetic.__name__)}.csv"
        if not path.exists():
            try:
                synthetic.synthesize(path, SAMPLE_ROWS, SAMPLE_SEED)
                for outdated in set(path.parent.glob("*.csv")) - {path}:
                    outdated.unlink()
            except OSError as error:
                raise ConfigError(f"cannot write the sample {path}: {error.strerror}") from error
        data, lineage = csv_file.identify(path), SAMPLE_LINEAGE
    else:
        try:
            data = csv_file.identify(path)
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        lineage = choose_lineage(data)
        folder = _claim(output, lineage)
    default_profile = "smoke" if lineage == SAMPLE_LINEAGE else "cpu"
    config = PipelineConfig(data, lineage, folder, profiles.PROFILES[profile or default_profile])
    _link(config.csv_link, path.resolve())  # the CSV may be named by its own link
    return config


def choose_lineage(data: csv_file.DataIdentity) -> str:
    """Returns `fer2013` for Kaggle's files, else the file's stem, never one of ours."""
    if data.kaggle_name:
        return FER2013_LINEAGE
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", data.path.stem).strip("-") or "data"
    # Another file that calls itself fer2013.csv must not become the real one's baseline.
    return f"{stem}-{data.md5[:8]}" if stem in (SAMPLE_LINEAGE, FER2013_LINEAGE) else stem


def _find_csv(csv: str | None) -> pathlib.Path | None:
    named = csv if csv is not None else os.environ.get("FER2013_CSV") or None
    if named is not None:
        path = pathlib.Path(named).expanduser().absolute()
        if not named or not path.is_file():
            source = "FER2013_CSV" if csv is None else "--data"
            raise ConfigError(f"expected {source} to name a CSV file, got {str(path)!r}")
        return path
    return DEFAULT_CSV.absolute() if DEFAULT_CSV.is_file() else None


def _claim(output: str | None, lineage: str) -> pathlib.Path:
    """Creates the output folder and marks whose it is; returns it absolute."""
    if output == "":
        raise ConfigError("expected --output to name a folder, got ''")
    folder = pathlib.Path(output or OUTPUT / lineage).expanduser().absolute()
    marker = folder / _LINEAGE_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            if any(folder.iterdir()):
                raise ConfigError(
                    f"expected an empty folder or one of an earlier run, got {folder} with other "
                    "files in it: name another with --output"
                )
            temporary = marker.with_suffix(".tmp")
            temporary.write_text(json.dumps({"lineage": lineage}) + "\n")
            temporary.replace(marker)
        owner = json.loads(marker.read_text())["lineage"]
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot use the output folder {folder}: {reason}") from error
    if owner != lineage:
        raise ConfigError(
            f"{folder} holds runs of the lineage {owner!r}, this data is of {lineage!r}: "
            "name another folder with --output"
        )
    return folder


def _link(link: pathlib.Path, target: pathlib.Path) -> None:
    """Makes or redirects a symbolic link, in one step."""
    temporary = link.with_suffix(".tmp")
    try:
        link.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError as error:
        raise ConfigError(f"cannot link {link} to {target}: {error.strerror}") from error
