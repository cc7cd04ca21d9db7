"""Which model is served where none is named: the best that there is on this machine."""

import contextlib
import dataclasses
import pathlib

from muwnet_fer.components.atomic_pusher import versions
from muwnet_fer.data import fer2013, model_config
from muwnet_fer.models.muwnet import packaged_weights
from muwnet_fer.pipeline import config, output_folder, source_fingerprint

# No lineage's name: those start with a letter or digit.
_EXPORTS = ".weights"


class NoModelError(ValueError):
    """Nothing to serve; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A folder of versions and a sentence on what is in it.

    `config_file` says which of them are served, stable or canary; None where nothing does, and the
    newest is.
    """

    base_path: pathlib.Path
    description: str
    is_sample: bool = False
    config_file: pathlib.Path | None = None

    @property
    def newest(self) -> pathlib.Path:
        """The SavedModel to load where only one is."""
        return versions.find_newest(self.base_path)


def choose_model_dir(output: pathlib.Path = config.OUTPUT) -> ServedModel:
    """Returns what FER2013's lineage pushed, else what another lineage pushed last, else the
    packaged weights with the best accuracy on PublicTest, else the sample's model.

    Args:
      output: folder of the lineages. Packaged weights are exported into it, once.

    Raises:
      NoModelError: where there is none of them.
      WeightsError, OSError: for packaged weights that cannot be exported.
    """
    pushed = _find_pushed(output)
    real = {name: path for name, path in pushed.items() if name != config.SAMPLE_LINEAGE}
    if config.FER2013_LINEAGE in real:
        return _describe(config.FER2013_LINEAGE, real)
    if real:
        newest = max(real, key=lambda name: versions.find_newest(real[name]).stat().st_mtime_ns)
        return _describe(newest, real)
    if packaged_weights.list_names():
        return _export_packaged(output)
    if pushed:
        served = _describe(config.SAMPLE_LINEAGE, pushed)
        warning = "warning: it knows drawn faces only; for real ones train on FER2013"
        return dataclasses.replace(
            served, description=f"{served.description} ({warning})", is_sample=True
        )
    raise NoModelError(
        f"expected a pushed model under {output} or packaged weights, got neither: "
        "run `muwnet-fer run` first, or name a model with --model-dir"
    )


def _find_pushed(output: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the folders of versions by lineage, of the lineages that pushed one."""
    found = {}
    for path in sorted(output.iterdir()) if output.is_dir() else ():
        with contextlib.suppress(output_folder.OutputFolderError, OSError):
            lineage = output_folder.read_owner(path)
            serving_model = output_folder.OutputFolder(path.absolute()).serving_model
            if lineage and versions.find_newest(serving_model):
                found[lineage] = serving_model
    return found


def _describe(lineage: str, pushed: dict[str, pathlib.Path]) -> ServedModel:
    serving_model = pushed[lineage]
    newest = versions.find_newest(serving_model)
    config_file = serving_model.with_name(model_config.FILE_NAME)
    return ServedModel(
        serving_model,
        f"newest version {newest.name}, pushed by lineage {lineage}",
        config_file=config_file if config_file.is_file() else None,
    )


def _export_packaged(output: pathlib.Path) -> ServedModel:
    """Returns the packaged weights of best accuracy as a SavedModel, exported once."""
    weights = {name: packaged_weights.read(name) for name in packaged_weights.list_names()}
    name = max(weights, key=lambda key: _accuracy(weights[key]))
    # Another version of this package may export them otherwise.
    source = source_fingerprint.compute("muwnet_fer.models.muwnet.export")
    base_path = output.absolute() / _EXPORTS / f"{name}-{weights[name].sha256[:12]}-{source}"
    if not versions.list_versions(base_path):
        from muwnet_fer.models.muwnet import weights_commands

        try:
            weights_commands.export(name, str(base_path / "1"))
        except OSError:
            if not versions.list_versions(base_path):
                raise
            # Another process was faster: the files are the same.
    return ServedModel(base_path, f"packaged weights {name}")


def _accuracy(weights: packaged_weights.Weights) -> float:
    """Of PublicTest, as the manifest states, for PrivateTest chooses nothing; -1 where it states
    none, or was trained on.
    """
    if packaged_weights.have_seen_public_test([weights]):
        return -1.0
    figures = weights.manifest.get("figures", {}).get(fer2013.PUBLIC_TEST, {})
    return figures.get("accuracy", {}).get("value", -1.0)
