"""Trained weights: those in the package (`weights/`, half precision) and those of pushed versions.

Needs no TensorFlow but for a pushed version's variables and for `load`.
"""

import dataclasses
import hashlib
import io
import itertools
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from muwnet_fer.data import atomic_file, fer2013
from muwnet_fer.models.muwnet import config as muwnet_config

FOLDER = pathlib.Path(__file__).with_name("weights")
SAVED_MODEL_MANIFEST = "assets.extra/muwnet.json"

_MANIFEST, _ARRAYS = ".json", ".npz"
_SHA256 = "sha256"


class WeightsError(ValueError):
    """Weights that cannot be used; the message says what was expected and what was got."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """`arrays` are those of the network's weights, in their order, float32."""

    manifest: dict[str, Any]
    arrays: list[np.ndarray]
    sha256: str  # of the file of arrays

    @property
    def config(self) -> muwnet_config.MuWNetConfig:
        """Of the network."""
        return muwnet_config.from_dict(self.manifest["muwnet"])

    @property
    def temperature(self) -> float:
        """That divides the logits."""
        return self.manifest["temperature"]


def list_names(folder: pathlib.Path = FOLDER) -> list[str]:
    """Returns the names of the weights in the package."""
    return sorted(path.stem for path in folder.glob(f"*{_MANIFEST}"))


def read(name_or_path: str) -> Weights:
    """Reads weights of the package, of another `<name>.json`, or of a pushed version's folder.

    Raises:
      WeightsError: for what is none of these, and for a file that is damaged.
      OSError: where it cannot be read.
    """
    if name_or_path in list_names():
        return _read_packaged(FOLDER / f"{name_or_path}{_MANIFEST}")
    path = pathlib.Path(name_or_path)
    if path.suffix == _MANIFEST and path.is_file():
        return _read_packaged(path)
    if (path / SAVED_MODEL_MANIFEST).is_file():
        return _read_saved_model(path)
    raise WeightsError(
        f"expected weights of {', '.join(list_names()) or '(none packaged)'}, a manifest "
        f"(NAME{_MANIFEST}) or a pushed version's folder, got {name_or_path!r}"
    )


def have_seen_public_test(weights: Iterable[Weights]) -> bool:
    """Returns whether who learns from weights has seen PublicTest: those that were trained on it
    pass on what they saw.
    """
    return any(of.manifest.get("public_test_contaminated") for of in weights)


def find_other_data(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the weights which a training began with or learnt from that had learnt from other
    data: faces on which its model is judged may be among it.
    """
    return [
        of
        for of in (manifest["warm_start"], *manifest["teachers"])
        if of
        and of.get("data_md5")
        and not fer2013.hold_same_rows(of["data_md5"], manifest["data_md5"])
    ]


def shorten(name_or_path: str) -> str:
    """Returns the name of weights, of a path its last part: for what goes to others."""
    return pathlib.PurePath(name_or_path).name


def halve(weights: Weights) -> Weights:
    """Returns the same weights rounded to half precision.

    Raises:
      WeightsError: where a value does not fit.
    """
    with np.errstate(over="ignore"):
        rounded = [array.astype(np.float16).astype(np.float32) for array in weights.arrays]
    for position, array in enumerate(rounded):
        if not np.isfinite(array).all():
            raise WeightsError(
                "expected weights within half precision's +-65504, got "
                f"{np.abs(weights.arrays[position]).max():g} in array {position}"
            )
    return dataclasses.replace(weights, arrays=rounded)


def write(folder: pathlib.Path, name: str, weights: Weights) -> pathlib.Path:
    """Writes halved weights and their manifest; returns the manifest's path.

    Killed between the two files, it leaves a pair that `read` refuses: their SHA-256 differs.

    Raises:
      OSError: where they cannot be written.
    """
    content = io.BytesIO()
    np.savez_compressed(content, *(array.astype(np.float16) for array in weights.arrays))
    manifest = {**weights.manifest, _SHA256: _digest(content.getvalue())}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{_MANIFEST}"
    with (
        atomic_file.replace(path) as text,
        atomic_file.replace(path.with_suffix(_ARRAYS)) as arrays,
    ):
        arrays.write_bytes(content.getvalue())
        text.write_text(json.dumps(manifest, indent=1) + "\n")
    return path


def load(weights: Weights):
    """Returns an export.ServingModule with the same signatures as a pushed version.

    Raises:
      WeightsError: where the arrays are not those of the configuration's network.
    """
    from muwnet_fer.models.muwnet import export, preprocessing
    from muwnet_fer.models.muwnet import model as muwnet_model

    model = muwnet_model.build_muwnet(weights.config)
    assign(model, weights)
    return export.ServingModule(model, preprocessing.decode_images, weights.temperature)


def assign(model, weights: Weights) -> None:
    """Puts weights into a keras.Model.

    Raises:
      WeightsError: where the shapes differ.
    """
    expected = [tuple(variable.shape) for variable in model.weights]
    got = [array.shape for array in weights.arrays]
    if expected != got:
        differing = [pair for pair in zip(expected, got, strict=False) if pair[0] != pair[1]]
        example = f", for example {differing[0][0]} against {differing[0][1]}" if differing else ""
        raise WeightsError(
            f"expected {len(expected)} arrays of the network's shapes, got {len(got)}{example}"
        )
    model.set_weights(weights.arrays)


def find_differences(
    expected: muwnet_config.MuWNetConfig, got: muwnet_config.MuWNetConfig
) -> list[str]:
    """Returns a sentence for each field by which two networks' shapes differ."""
    return [
        f"{field} is {getattr(got, field)}, expected {getattr(expected, field)}"
        for field in ("stages", "fully_connected")
        if getattr(got, field) != getattr(expected, field)
    ]


def _read_packaged(path: pathlib.Path) -> Weights:
    manifest = _read_manifest(path)
    arrays_path = path.with_suffix(_ARRAYS)
    content = arrays_path.read_bytes()
    digest = _digest(content)
    if digest != manifest.get(_SHA256):
        raise WeightsError(
            f"expected {arrays_path} of SHA-256 {manifest.get(_SHA256)}, as {path.name} says, "
            f"got {digest}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = [file[f"arr_{i}"].astype(np.float32) for i in range(len(file.files))]
    return Weights(manifest, arrays, digest)


def _read_saved_model(path: pathlib.Path) -> Weights:
    import tensorflow as tf

    manifest = _read_manifest(path / SAVED_MODEL_MANIFEST)
    try:
        variables = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        names = (f"weights/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i in itertools.count())
        there = itertools.takewhile(variables.has_tensor, names)
        arrays = [variables.get_tensor(name) for name in there]
    except (tf.errors.OpError, ValueError) as error:
        raise WeightsError(f"expected a SavedModel at {path}, got {error}") from error
    if not arrays:
        raise WeightsError(f"expected weights in the variables of {path}, got none")
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return Weights(manifest, arrays, digest.hexdigest())


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
        muwnet_config.from_dict(manifest["muwnet"])
        float(manifest["temperature"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"expected a manifest with `muwnet` and `temperature` in {path}, got {error!r}"
        ) from error
    return manifest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
