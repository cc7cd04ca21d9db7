"""What `muwnet-fer weights` does."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import tabulate

from muwnet_fer.data import fer2013
from muwnet_fer.data import source as data_source
from muwnet_fer.models.muwnet import packaged_weights

TOLERANCE = 0.0005  # .05 points: one face of 3,589 is .028
_MEASURED_ON = "measured_on_md5"


def format_list() -> str:
    """Returns a table of the weights in the package; without accuracies on faces trained on."""
    table = []
    for name in packaged_weights.list_names():
        weights = packaged_weights.read(name)
        manifest = weights.manifest
        has_seen = packaged_weights.have_seen_public_test([weights])
        accuracies = [
            "trained on"
            if has_seen and split == fer2013.PUBLIC_TEST
            else f"{100 * manifest['figures'][split][figure]['value']:.2f}"
            for split in (fer2013.PUBLIC_TEST, fer2013.PRIVATE_TEST)
            for figure in ("accuracy", "ten_views_accuracy")
        ]
        table.append([name, f"{manifest['parameters']:,}", *accuracies])
    headers = ["weights", "parameters", "PublicTest", "ten views", "PrivateTest", "ten views"]
    return tabulate.tabulate(table, headers, disable_numparse=True, stralign="right")


def verify(names: Sequence[str], source: data_source.Source, echo: Callable[[str], None]) -> bool:
    """Measures weights again; returns whether all figures are as their manifests state.

    Args:
      names: of the package's, or paths; none means all of the package.
      source: FER2013.
      echo: is given a line for each weights and each difference.

    Raises:
      WeightsError, OSError: see packaged_weights.read.
      MalformedDataError: for a bad row.
    """
    from muwnet_fer.models.muwnet import measurement

    right = True
    for name in names or packaged_weights.list_names():
        weights = packaged_weights.read(name)
        identity, measured = measurement.measure(packaged_weights.load(weights), source)
        if figures := weights.manifest.get("figures"):
            differences = measurement.find_differences(
                figures, measurement.to_dict(measured), TOLERANCE
            )
            stated = weights.manifest.get(_MEASURED_ON)
            if not fer2013.hold_same_rows(identity.md5, stated):
                differences.insert(0, f"data: stated MD5 {stated}, got {identity.md5}")
        else:
            differences = ["figures: stated none, as a version does that was not packaged"]
        private = measured[fer2013.PRIVATE_TEST]
        verdict = f"{len(differences)} differences" if differences else "as its manifest states"
        accuracies = f"PrivateTest {private.accuracy}, ten views {private.ten_views_accuracy}"
        echo(f"{name}: {accuracies}: {verdict}")
        for sentence in differences:
            echo(f"  {sentence}")
        right = right and not differences
    return right


def package(
    version: str,
    name: str,
    source: data_source.Source,
    folder: str | None = None,
    replace: bool = False,
) -> str:
    """Writes a pushed version's weights, in half precision and measured so; returns what it wrote.

    Args:
      version: folder of a pushed version; or weights, which are measured again.
      name: of the weights.
      source: FER2013.
      folder: where they go; None is the package's own.
      replace: whether weights of this name may be there.

    Raises: see `verify`; WeightsError for a name that is taken.
    """
    from muwnet_fer.models.muwnet import measurement

    target = pathlib.Path(folder) if folder else packaged_weights.FOLDER
    if name in packaged_weights.list_names(target) and not replace:
        raise packaged_weights.WeightsError(
            f"expected a name that {target} does not have yet, got {name!r}: --replace replaces it"
        )
    halved = packaged_weights.halve(packaged_weights.read(version))
    identity, measured = measurement.measure(packaged_weights.load(halved), source)
    start, teachers = (halved.manifest.get(key) for key in ("warm_start", "teachers"))
    manifest = {
        **halved.manifest,
        "warm_start": start and _shorten(start),
        "teachers": [_shorten(teacher) for teacher in teachers or ()],
        _MEASURED_ON: identity.md5,
        "figures": measurement.to_dict(measured),
    }
    manifest.pop("public_test_accuracy", None)  # the figures have it, of the rounded weights
    path = packaged_weights.write(target, name, dataclasses.replace(halved, manifest=manifest))
    size = path.with_suffix(".npz").stat().st_size
    return f"{path}: {manifest['parameters']:,} parameters, {size / 1e6:.2f} MB"


def _shorten(named: dict[str, str]) -> dict[str, str]:
    return {**named, "name": packaged_weights.shorten(named["name"])}


def export(name: str, folder: str) -> None:
    """Writes a SavedModel with a pushed version's signatures, whole or not at all.

    Raises: see packaged_weights.read; WeightsError or OSError where it cannot be written, or where
    `folder` is there and not empty.
    """
    import tensorflow as tf

    from muwnet_fer.models.muwnet import export as saved_model

    weights = packaged_weights.read(name)
    module = packaged_weights.load(weights)
    target = pathlib.Path(folder).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as temporary:
        complete = pathlib.Path(temporary, target.name)
        try:
            saved_model.save(module, weights.manifest, str(complete))
        except tf.errors.OpError as error:  # no OSError: a full disk, for example
            raise packaged_weights.WeightsError(f"cannot write {folder}: {error}") from error
        complete.rename(target)
