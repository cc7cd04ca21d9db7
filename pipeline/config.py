"""PipelineConfig: which data, which profile, where everything goes. No TFX here, so that a wrong
path or name is answered at once.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Sequence

from muwnet_fer.data import location, synthetic
from muwnet_fer.data import source as data_source
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import packaged_weights
from muwnet_fer.pipeline import output_folder, profiles, source_fingerprint

PIPELINE_NAME = "muwnet-fer"
OUTPUT = pathlib.Path("output")
# In the order in which they run.
COMPONENTS = (
    "CuratedSchemaGen",
    "Fer2013ExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "AnomalyGate",
    "Transform",
    "Trainer",
    "LatestBlessedModel",
    "Predictor",
    "Evaluator",
    "Pusher",
    "Report",
)
SAMPLE_LINEAGE, FER2013_LINEAGE = "sample", "fer2013"
SAMPLE_ROWS, SAMPLE_SEED = 3500, 1
# Of the profile's learning rate: by all of it, the first epochs would undo what was learnt.
WARM_START_RATE = 0.1
_SUFFIXES = re.compile(r"(\.csv|\.tar|\.gz|\.tgz|\.zip)+$", re.IGNORECASE)


class ConfigError(ValueError):
    """An argument that cannot be run with; the message says which and what was expected."""


@dataclasses.dataclass(frozen=True)
class NamedWeights:
    """Weights that a training takes from elsewhere: their name or path, and their digest."""

    name: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class _FoundWeights:
    named: NamedWeights
    muwnet: muwnet_config.MuWNetConfig


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """One run's choices; `lineage` keeps models of other data apart."""

    data: data_source.DataIdentity
    lineage: str
    output: output_folder.OutputFolder
    profile: profiles.Profile
    warm_start: NamedWeights | None = None
    teachers: tuple[NamedWeights, ...] = ()
    max_bad_rows: int = 0  # of which `data` holds no more

    @property
    def data_links(self) -> pathlib.Path:
        """Folder of links to the data, named by its content: TFX's cache keys hold paths, too."""
        return self.output.data / self.data.md5

    def link_data(self) -> None:
        """Makes the links of `data_links`, numbered in order; those that are there are replaced.

        Raises:
          OSError: where they cannot be made.
        """
        # Data may be named by its own links: what they lead to is read before they go.
        targets = [path.resolve() for path in self.data.source.paths]
        temporary = self.data_links.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for number, target in enumerate(targets):
            (temporary / f"{number:05}-{target.name}").symlink_to(target)
        shutil.rmtree(self.data_links, ignore_errors=True)
        temporary.replace(self.data_links)

    @property
    def checkpoint_dir(self) -> pathlib.Path:
        """Where a training that was killed goes on from: named by its data and configuration, not
        by its source, so that an edited comment does not discard hours.
        """
        identity = {"data_md5": self.data.md5, "muwnet": dataclasses.asdict(self.profile.muwnet)}
        if self.warm_start:
            identity["warm_start"] = self.warm_start.sha256
        if self.teachers:
            identity["teachers"] = [teacher.sha256 for teacher in self.teachers]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return self.output.checkpoints / digest[:16]

    @property
    def gates(self) -> profiles.Gates:
        """The profile's gates for this data."""
        own = {
            SAMPLE_LINEAGE: self.profile.sample_gates,
            FER2013_LINEAGE: self.profile.fer2013_gates,
        }
        return own.get(self.lineage) or self.profile.gates

    @property
    def description(self) -> str:
        """Data, profile and weights from elsewhere, a line each, for people."""
        count = sum(self.data.row_counts.values())
        kind = "drawn faces" if self.lineage == SAMPLE_LINEAGE else self.data.kaggle_name
        identity = f"{kind or 'not a Kaggle file'}, {count:,} rows, MD5 {self.data.md5}"
        if self.data.bad_rows:
            identity += f", {self.data.bad_rows:,} bad rows set aside"
        if fraction := self.data.source.private_fraction:
            identity += f", {fraction:.0%} of `test` drawn as private_test"
        first, *others = self.data.source.paths
        more = f" and {len(others)} more" if others else ""
        lines = [
            f"data     {first}{more} ({identity})",
            f"profile  {self.profile.name}, expected time {self.profile.expected_time}",
        ]
        if self.warm_start:
            lines.append(f"start    from the weights {self.warm_start.name}")
        lines += [f"teacher  {teacher.name}" for teacher in self.teachers]
        return "\n".join(lines)


def make_config(
    data: Sequence[str] = (),
    profile: str | None = None,
    output: str | None = None,
    private_fraction: float | None = None,
    max_bad_rows: int = 0,
    warm_start: str | None = None,
    teachers: Sequence[str] = (),
) -> PipelineConfig:
    """Checks the data and returns the config of a run; claims its output folder for the lineage.

    Args:
      data: paths of CSVs, of a folder of them, or of one folder of images; else FER2013_CSV of the
        environment, data/raw/fer2013.csv, or the sample, whichever is there first.
      profile: name; else `smoke` on the sample and `cpu` on other data.
      output: folder in place of output/<lineage>.
      private_fraction: share of a folder's `test` that becomes private_test.
      max_bad_rows: how many bad rows are set aside at most.
      warm_start: weights that the training starts from, see packaged_weights.read; its learning
        rate is then WARM_START_RATE of the profile's, and phases on smaller faces are left out.
      teachers: weights that a profile with distillation learns from, in place of its own ones.

    Raises:
      ConfigError: for a profile or file that is not there, another lineage's folder, or weights of
        another network.
      MalformedDataError: for more bad rows than that.
    """
    if profile is not None and profile not in profiles.PROFILES:
        raise ConfigError(f"expected a profile of {', '.join(profiles.PROFILES)}, got {profile!r}")
    if max_bad_rows < 0:
        raise ConfigError(f"expected --max-bad-rows of at least 0, got {max_bad_rows}")
    if output == "":
        raise ConfigError("expected --output to name a folder, got ''")
    start = None if warm_start is None else _read_weights("--warm-start", warm_start)
    named_teachers = [_read_weights("--teacher", teacher) for teacher in teachers]
    try:
        source = location.find_source(data, private_fraction)
    except location.LocationError as error:
        raise ConfigError(str(error)) from error
    identity = None if source is None else _check(source, max_bad_rows)
    lineage = SAMPLE_LINEAGE if identity is None else choose_lineage(identity)
    default_profile = "smoke" if lineage == SAMPLE_LINEAGE else "cpu"
    chosen = profiles.PROFILES[profile or default_profile]
    if start:
        chosen = _go_on_from(start, chosen)
    taught_by = _choose_teachers(chosen, named_teachers)
    claimed = _claim(output, lineage)
    if identity is None:
        identity = _check(data_source.Source((_draw_sample(claimed),)), max_bad_rows)
    return PipelineConfig(
        identity,
        lineage,
        claimed,
        chosen,
        start and start.named,
        tuple(teacher.named for teacher in taught_by),
        max_bad_rows,
    )


def choose_lineage(data: data_source.DataIdentity) -> str:
    """Returns `fer2013` for Kaggle's files, else a name made of the path's, never one of ours.

    A folder of images is one lineage for each private fraction.
    """
    if data.kaggle_name:
        return FER2013_LINEAGE
    stem = _SUFFIXES.sub("", data.source.name)
    if data.source.is_image_folder:
        stem += f"-private-{data.source.private_fraction}"
    name = re.sub(r"[^\w-]+", "-", stem).strip("-") or "data"
    # Another file that calls itself fer2013.csv must not become the real one's baseline.
    return f"{name}-{data.md5[:8]}" if name in (SAMPLE_LINEAGE, FER2013_LINEAGE) else name


def _read_weights(option: str, name_or_path: str) -> _FoundWeights:
    if not name_or_path:
        raise ConfigError(f"expected {option} to name weights, got ''")
    if name_or_path not in packaged_weights.list_names():
        name_or_path = str(pathlib.Path(os.path.expanduser(name_or_path)).absolute())
    try:
        weights = packaged_weights.read(name_or_path)
    except packaged_weights.WeightsError as error:
        raise ConfigError(f"{option}: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
    return _FoundWeights(NamedWeights(name_or_path, weights.sha256), weights.config)


def _go_on_from(start: _FoundWeights, profile: profiles.Profile) -> profiles.Profile:
    """Returns the profile with a lower learning rate and without phases on smaller faces.

    Those are for networks that begin at random: one that was trained has to get used to them, and
    back again (docs/accuracy.md, run 4).
    """
    if differences := packaged_weights.find_differences(profile.muwnet, start.muwnet):
        raise ConfigError(
            f"--warm-start: expected weights of the network of profile {profile.name!r}, got "
            f"others in {start.named.name}: {'; '.join(differences)}"
        )
    phases = tuple(
        dataclasses.replace(phase, learning_rate=phase.learning_rate * WARM_START_RATE)
        if phase.learning_rate is not None
        else phase
        for phase in profile.muwnet.phases
        if phase.input_size is None
    )
    rate = profile.muwnet.learning_rate * WARM_START_RATE
    muwnet = dataclasses.replace(profile.muwnet, learning_rate=rate, phases=phases)
    return dataclasses.replace(profile, muwnet=muwnet)


def _choose_teachers(
    profile: profiles.Profile, named: Sequence[_FoundWeights]
) -> Sequence[_FoundWeights]:
    if named and not profile.muwnet.distillation:
        raise ConfigError(
            f"expected --teacher with a profile that learns from one, got {profile.name!r}"
        )
    return named or [_read_weights("--teacher", name) for name in profile.teachers]


def _claim(output: str | None, lineage: str) -> output_folder.OutputFolder:
    path = pathlib.Path(os.path.expanduser(output or OUTPUT / lineage)).absolute()
    try:
        return output_folder.claim(path, lineage)
    except output_folder.OutputFolderError as error:
        raise ConfigError(str(error)) from error


def _draw_sample(output: output_folder.OutputFolder) -> pathlib.Path:
    # Named by the code that drew it: a file that is there is the one this code would draw.
    path = output.sample / f"{source_fingerprint.compute(synthetic.__name__)}.csv"
    if not path.exists():
        try:
            synthetic.synthesize(path, SAMPLE_ROWS, SAMPLE_SEED)
            for outdated in set(path.parent.glob("*.csv")) - {path}:
                outdated.unlink()
        except OSError as error:
            raise ConfigError(f"cannot write the sample {path}: {error.strerror}") from error
    return path


def _check(source: data_source.Source, max_bad_rows: int) -> data_source.DataIdentity:
    try:
        return data_source.check(source, max_bad_rows).identity
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
