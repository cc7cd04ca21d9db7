"""The file that servers poll: which versions they load, and which of them is `stable`.

It is TensorFlow Serving's ModelServerConfig as text, with the version policy `specific` and labels:
`canary` is the newest pushed version, `stable` what was promoted, `previous` what was stable before
that, which stays loaded, so that a rollback is one step.

TensorFlow Serving gives a label only to a version that it has loaded, and refuses the whole file
otherwise, so that it never loads the version either (ServerCore::UpdateModelVersionLabelMap runs
before AddModelsViaModelConfigList in tensorflow_serving/model_servers/server_core.cc; with
--allow_version_labels_for_unavailable_models a label that it has not given yet is excepted). So a
label moves in two steps: `list_version`, and once the version is loaded `set_label`.

Whoever calls hands in the class of the message: serving has its own, which need no TensorFlow,
components have those of tensorflow_serving.
"""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import filelock
from google.protobuf import message, text_format

from muwnet_fer.data import atomic_file

FILE_NAME = "model_config.pbtxt"
MODEL_NAME = "muwnet"
STABLE, CANARY, PREVIOUS = "stable", "canary", "previous"
# How often servers look at the file: the manifests' --model_config_file_poll_wait_seconds.
POLL_SECONDS = 5

_HEADER = "# Servers poll this file. `muwnet-fer promote` and `rollback` rewrite it.\n"


class ModelConfigError(ValueError):
    """A file, version or label that cannot be used; the message says what was expected."""


def read(path: pathlib.Path, server_config_class: type[message.Message]) -> Any:
    """Returns the ModelConfig of our model.

    Raises:
      ModelConfigError: for a file that is none, or that has no such model with versions listed.
      OSError: where it cannot be read.
    """
    return _find_model(_parse(path, server_config_class), path)


@contextlib.contextmanager
def edit(path: pathlib.Path, server_config_class: type[message.Message]) -> Iterator[Any]:
    """Yields our ModelConfig and then writes it, whole, without another writer in between.

    Raises: see `read`; on any error the file stays as it was.
    """
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        server_config = _parse(path, server_config_class)
        yield _find_model(server_config, path)
        _write(path, server_config)


def label_pushed(
    path: pathlib.Path,
    server_config_class: type[message.Message],
    version: pathlib.Path,
    poll_seconds: float,
) -> None:
    """Makes a pushed version the canary, and the first of all stable as well.

    Args:
      path: of the file, which is made where there is none.
      server_config_class: ModelServerConfig.
      version: its folder.
      poll_seconds: how often servers look at the file. Where the label moves, it waits for twice
        as long between the two steps, and `canary` is `stable` meanwhile: the last canary may be
        one that servers could not load, and with it they would refuse the file. A server that was
        busy all that time sees the second step alone and refuses it: pushing, or `muwnet-fer
        promote`, takes both steps again.

    Raises: see `read`; what ends it between the steps leaves the version unlisted.
    """
    if not path.exists():
        server_config = server_config_class()
        model = server_config.model_config_list.config.add()
        model.name, model.model_platform = MODEL_NAME, "tensorflow"
        model.model_version_policy.specific.SetInParent()
        _write(path, server_config)
    number = int(version.name)
    with edit(path, server_config_class) as model:
        model.base_path = str(version.parent.absolute())
        list_version(model, number)
        if STABLE not in model.version_labels:
            set_label(model, STABLE, number)
        if CANARY not in model.version_labels:
            set_label(model, CANARY, number)
            return
        set_label(model, CANARY, model.version_labels[STABLE])
    try:
        time.sleep(2 * poll_seconds)
    except BaseException:
        with edit(path, server_config_class) as model:
            unlist_version(model, number)
        raise
    with edit(path, server_config_class) as model:
        set_label(model, CANARY, number)


def list_version(model: Any, version: int) -> None:
    """Step one: servers load a version."""
    listed = model.model_version_policy.specific.versions
    if version not in listed:
        listed[:] = sorted([*listed, version])


def unlist_version(model: Any, version: int) -> None:
    """Undoes step one, but for a version with a label."""
    listed = model.model_version_policy.specific.versions
    if version in listed and version not in model.version_labels.values():
        listed.remove(version)


def set_label(model: Any, label: str, version: int) -> None:
    """Step two: a label names a listed version; servers unload one that no label names any more.

    Raises:
      ModelConfigError: for a version that is not listed.
    """
    listed = list(model.model_version_policy.specific.versions)
    if version not in listed:
        raise ModelConfigError(f"expected a listed version of {listed}, got {version}")
    labels = model.version_labels
    named_before = set(labels.values())
    if label == STABLE and STABLE in labels and labels[STABLE] != version:
        labels[PREVIOUS] = labels[STABLE]
    labels[label] = version
    for unnamed in named_before:
        unlist_version(model, unnamed)


def roll_back(model: Any) -> int:
    """Makes the previous version stable again; returns it.

    Raises:
      ModelConfigError: where there is none.
    """
    labels = model.version_labels
    if PREVIOUS not in labels:
        raise ModelConfigError(
            f"expected a version that was stable before, got labels {dict(labels)}: promote the "
            "version that is wanted"
        )
    taken_back, labels[STABLE] = labels[STABLE], labels[PREVIOUS]
    del labels[PREVIOUS]
    unlist_version(model, taken_back)
    return labels[STABLE]


def format_labels(model: Any) -> str:
    """Returns the labels in words."""
    return ", ".join(f"{label} {number}" for label, number in sorted(model.version_labels.items()))


def _parse(path: pathlib.Path, server_config_class: type[message.Message]) -> message.Message:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), server_config_class())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelConfigError(f"expected a ModelServerConfig in {path}, got {error}") from error


def _find_model(server_config: Any, path: pathlib.Path) -> Any:
    models = {model.name: model for model in server_config.model_config_list.config}
    model = models.get(MODEL_NAME)
    if model is None or not model.model_version_policy.HasField("specific"):
        raise ModelConfigError(
            f"expected a model {MODEL_NAME!r} with the version policy `specific` in {path}, got "
            f"{sorted(models)}"
        )
    return model


def _write(path: pathlib.Path, server_config: message.Message) -> None:
    with atomic_file.replace(path) as unfinished:
        text = text_format.MessageToString(server_config)
        unfinished.write_text(_HEADER + text, encoding="utf-8")
