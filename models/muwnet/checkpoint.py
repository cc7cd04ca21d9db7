"""A training after its last whole epoch, as one file from which it goes on as if it never ended."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import logging
import os
import pathlib
import typing

import numpy as np

from muwnet_fer.data import atomic_file

if typing.TYPE_CHECKING:  # `muwnet-fer prune` looks at checkpoints without importing TensorFlow
    import keras

FILE = "checkpoint.npz"

_LOGGER = logging.getLogger("muwnet_fer.training")
_ARRAYS = ("variables", "best_weights")


class MisfitError(ValueError):
    """A file that is no checkpoint of this training; the message says why."""


@dataclasses.dataclass
class Checkpoint:
    """What a training is made of between two epochs.

    The network's variables hold its random generators, too, and the optimizer's the step, the
    learning rate, momenta and averages.
    """

    source_fingerprint: str  # of the code that trained or exported last
    faces_digest: str  # of what is trained and validated on
    planned_epochs: int
    exported: bool = False  # its model was written: nothing is left to do
    # Of the checkout when the training began, and of each from which edited source went on.
    commit: str | None = None
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    resumed_after: list[int] = dataclasses.field(default_factory=list)  # epochs, counted from 1
    # ReduceLROnPlateau's counters in the phase that is not over.
    plateau: dict[str, float | None] = dataclasses.field(default_factory=dict)
    # Of the network, then of its optimizer, in their order: Keras counts names up in a process.
    variables: list[np.ndarray] = dataclasses.field(default_factory=list)
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Whole epochs done."""
        return len(self.history.get("loss", ()))

    @property
    def is_complete(self) -> bool:
        """True where no epoch is left to do."""
        return self.epochs >= self.planned_epochs


def is_resumable(folder: pathlib.Path) -> bool:
    """Returns whether a training could go on from a folder's checkpoint: False where its model was
    exported. What cannot be read counts as resumable: it may be a newer version's.
    """
    try:
        return not read(folder / FILE).exported
    except (MisfitError, OSError):
        return True


def resume(path: pathlib.Path, model: keras.Model, started: Checkpoint) -> Checkpoint:
    """Returns the checkpoint to go on from, its variables put into the model; else `started`.

    A file that does not fit is renamed, never deleted. A training that is complete is one to go on
    from, with nothing left to do but the export; once that was done, too, an edit of the source
    trains again.

    Args:
      path: of the file, which need not be there.
      model: compiled, its optimizer built.
      started: the training that has done nothing yet.

    Raises:
      OSError: where a file that is there cannot be read.
    """
    for abandoned in atomic_file.list_unfinished(path.parent):
        abandoned.unlink()  # a kill within `write` leaves one of the checkpoint's size
    if not path.exists():
        return started
    try:
        found = read(path)
        _check(found, model, started.faces_digest)
    except MisfitError as error:
        aside = _set_aside(path)
        _LOGGER.info("    training starts anew: %s; kept as %s", error, aside)
        return started
    edited = found.source_fingerprint != started.source_fingerprint
    if found.exported and edited:
        _LOGGER.info("    training starts anew: the source was edited after %s was exported", path)
        return started
    for variable, value in zip(list_variables(model), found.variables, strict=True):
        variable.assign(value)
    note = ""
    if edited:
        note = "; the source was edited since"
        if found.commit != started.commit:
            found.commit = f"{found.commit or 'unknown'}, then {started.commit or 'unknown'}"
    if found.is_complete:
        _LOGGER.info(
            "    all %d epochs were done before (checkpoint %s)%s", found.epochs, path, note
        )
        return found
    _LOGGER.info(
        "    resumed after epoch %d of %d (checkpoint %s)%s",
        found.epochs,
        found.planned_epochs,
        path,
        note,
    )
    found.resumed_after.append(found.epochs)
    found.source_fingerprint = started.source_fingerprint
    return found


def list_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns all that changes in a compiled model while it is trained."""
    return [*model.variables, *model.optimizer.variables]


def write(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Replaces the file in one step: whenever the process ends, an old or a new one is there.

    Raises:
      OSError: where it cannot be written; the earlier file stays.
    """
    state = vars(checkpoint).copy()
    arrays = {}
    for name in _ARRAYS:
        arrays |= {f"{name}/{i}": array for i, array in enumerate(state[name])}
        state[name] = len(state[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file.replace(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)
        file.flush()
        os.fsync(file.fileno())


def read(path: pathlib.Path) -> Checkpoint:
    """Returns what `write` wrote.

    Raises:
      MisfitError: for a file that is damaged or something else.
      OSError: where it cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            for name in _ARRAYS:
                state[name] = [file[f"{name}/{i}"] for i in range(state[name])]
        return Checkpoint(**state)
    except Exception as error:  # damaged bytes make zipfile and numpy raise all kinds
        raise MisfitError(f"{path} is damaged ({error})") from error


def _check(checkpoint: Checkpoint, model: keras.Model, faces_digest: str) -> None:
    for expected, got in (
        (list_variables(model), checkpoint.variables),
        (model.weights, checkpoint.best_weights),
    ):
        if [_describe(variable) for variable in expected] != [_describe(array) for array in got]:
            raise MisfitError("the checkpoint is of a network with other layers")
    if checkpoint.faces_digest != faces_digest:
        raise MisfitError("the checkpoint is of other faces")


def _describe(values: keras.Variable | np.ndarray) -> tuple[tuple[int, ...], str]:
    return tuple(values.shape), str(values.dtype)


def _set_aside(path: pathlib.Path) -> pathlib.Path:
    names = (path.with_name(f"{path.stem}.misfit-{n}{path.suffix}") for n in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    return path.rename(aside)
