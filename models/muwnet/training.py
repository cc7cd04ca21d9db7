"""How MuWNet is fitted: optimizer, schedule, callbacks, phases; the best epoch by PublicTest."""

import logging
import math
import pathlib
import shutil
import time

import keras
import numpy as np

from muwnet_fer.models.muwnet import checkpoint, examples
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model as muwnet_model

TENSORBOARD = "tensorboard"  # folder of its event files beside the checkpoint

_LOGGER = logging.getLogger("muwnet_fer.training")
_MINIMUM_LEARNING_RATE = 1e-5  # paper, experiment 1
_PROGRESS_SECONDS = 60


class TrainingDivergedError(ArithmeticError):
    """The loss is no longer a number."""


def fit(
    model: keras.Model,
    config: muwnet_config.MuWNetConfig,
    train: examples.Split,
    public_test: examples.Split,
    folder: pathlib.Path,
    source_fingerprint: str,
    commit: str | None = None,
    validation_name: str = muwnet_config.name_validation(contaminated=False),
) -> checkpoint.Checkpoint:
    """Trains in place and restores the best epoch's weights.

    Goes on from the checkpoint in `folder`, should there be one of this training. On one machine
    and with one inter-op thread (TF_NUM_INTEROP_THREADS=1: with more of them TensorFlow adds
    gradients up in any order) it then ends with the same weights as if it had never stopped.

    Args:
      folder: where the checkpoint and TensorBoard's event files go.
      source_fingerprint: of the training's code.
      commit: of its checkout; a training that goes on names another one only after an edit.
      validation_name: of `public_test`, for what is logged.

    Returns:
      The last epoch's checkpoint. Its history holds loss, accuracy, val_loss, val_accuracy,
      learning_rate, seconds and cpu_seconds (of all threads): one value an epoch each. Where
      targets are not the labels alone, accuracy is that of each target's likeliest emotion.

    Raises:
      TrainingDivergedError: at the first batch whose loss is NaN or infinite.
      OSError: where the checkpoint cannot be read or written.
    """
    steps = examples.count_steps(train, config.batch_size)
    _compile(model, config, make_optimizer(config, steps))
    model.optimizer.build(model.trainable_variables)
    path = folder / checkpoint.FILE
    (folder / TENSORBOARD).mkdir(parents=True, exist_ok=True)
    faces_digest = examples.digest(train, public_test)
    started = checkpoint.Checkpoint(source_fingerprint, faces_digest, config.epochs, commit=commit)
    state = checkpoint.resume(path, model, started)
    if not state.is_complete:
        progress = Progress(config.epoch_costs, steps, validation_name, state.epochs)
        _fit_phases(model, config, train, public_test, path, state, progress)
    model.set_weights(state.best_weights)
    return state


def _fit_phases(
    model, config, train, public_test, path, state: checkpoint.Checkpoint, progress: "Progress"
) -> None:
    """Trains the epochs that `state` does not hold yet, and keeps it up to date."""
    tensorboard = path.with_name(TENSORBOARD)
    if not state.epochs:
        shutil.rmtree(tensorboard, ignore_errors=True)  # another training's curves
    steps = examples.count_steps(train, config.batch_size)
    callbacks = [
        StopOnDivergence(),
        progress,
        keras.callbacks.TensorBoard(tensorboard, write_graph=False),
    ]
    if config.averaging:
        callbacks.append(keras.callbacks.SwapEMAWeights())  # validates the averages
    plateau = None
    if config.schedule == "plateau":
        # Factor and patience are Keras' defaults: the paper gives only the two ends.
        plateau = keras.callbacks.ReduceLROnPlateau("val_loss", min_lr=_MINIMUM_LEARNING_RATE)
        callbacks.append(plateau)
    # Last: it keeps what the others did.
    callbacks.append(WriteCheckpoint(path, state, config.first_judged_epoch, plateau))
    end = 0
    for phase in config.phases:
        start, end = end, end + phase.epochs
        # One that was just over is entered for no epoch: Keras ends a fit with the averages of an
        # optimizer that keeps some.
        if end < state.epochs:
            continue
        if start >= state.epochs:
            state.plateau = {}
            if phase.learning_rate is not None:
                model.optimizer.learning_rate = phase.learning_rate
        first = max(start, state.epochs)
        network = model
        if phase.input_size:
            network = muwnet_model.scale_down(model, phase.input_size)
            _compile(network, config, model.optimizer)
        network.fit(
            examples.batch_for_training(
                train, config.batch_size, config.seed, first, config.augmentation.mixup
            ),
            steps_per_epoch=steps,
            validation_data=examples.batch_for_validation(public_test, config.batch_size),
            initial_epoch=first,
            epochs=end,
            callbacks=callbacks,
            verbose=0,
        )


def _compile(model, config, optimizer: keras.optimizers.Optimizer) -> None:
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )


def make_optimizer(config: muwnet_config.MuWNetConfig, steps: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer with its schedule; `steps` are the batches of an epoch."""
    rate = config.learning_rate
    if config.schedule == "cosine":
        warmup = round(config.warmup_epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=max(1, config.epochs * steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    options = {"weight_decay": config.weight_decay or None}
    if config.averaging:
        options |= {"use_ema": True, "ema_momentum": config.averaging}
    if config.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, **options)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **options)
    # Shrinking scales and offsets regularises nothing that the kernels' decay does not.
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


class StopOnDivergence(keras.callbacks.Callback):
    """Raises where Keras' own TerminateOnNaN would end the training as if all were well."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise TrainingDivergedError(
                f"expected a finite training loss, got {logs['loss']} at batch {batch}: "
                "lower the learning rate or lengthen the warm-up"
            )


class WriteCheckpoint(keras.callbacks.Callback):
    """Brings a checkpoint up to date after each epoch, and its file.

    Args:
      path: of the file.
      state: changed in place.
      first_judged: the first epoch of which the best is chosen; until then it is the latest.
      plateau: the callback whose counters belong to it, if there is one.
    """

    def __init__(
        self,
        path: pathlib.Path,
        state: checkpoint.Checkpoint,
        first_judged: int,
        plateau: keras.callbacks.ReduceLROnPlateau | None,
    ):
        super().__init__()
        self._path, self._state, self._plateau = path, state, plateau
        self._first_judged = first_judged

    def on_train_begin(self, logs=None):
        # By now Keras' callback has forgotten what it counted.
        for name, value in self._state.plateau.items():
            setattr(self._plateau, name, value)

    def on_epoch_end(self, epoch, logs=None):
        state = self._state
        judged = state.history.get("val_accuracy", [])[self._first_judged :]
        best = max(judged, default=-math.inf)
        if logs["val_accuracy"] > best:
            state.best_weights = read_validated_weights(self.model)
        for name, value in logs.items():
            state.history.setdefault(name, []).append(float(value))
        if self._plateau:
            state.plateau = {
                name: getattr(self._plateau, name) for name in ("wait", "best", "cooldown_counter")
            }
        state.variables = [np.array(v) for v in checkpoint.list_variables(self.model)]
        checkpoint.write(self._path, state)


def read_validated_weights(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights that an epoch was judged by: where there are averages, those."""
    optimizer = model.optimizer
    averages = {}
    if optimizer.use_ema:
        trained = map(id, model.trainable_weights)
        averages = dict(zip(trained, optimizer._model_variables_moving_average, strict=True))
    return [np.array(averages.get(id(weight), weight)) for weight in model.weights]


class Progress(keras.callbacks.Callback):
    """Logs a line an epoch, and one a minute within long ones; adds times and learning rate.

    Args:
      costs: of each epoch of all phases, in any unit: the time that is left goes by them.
      steps: batches an epoch.
      validation: name of what is validated on.
      done: epochs that an earlier process did.
    """

    def __init__(self, costs: list[float], steps: int, validation: str, done: int = 0):
        super().__init__()
        self._costs, self._steps, self._validation = costs, steps, validation
        self._started = self._epoch_started = self._last_line = time.monotonic()
        self._cpu_started = time.process_time()
        self._epoch = self._first_epoch = done

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._epoch_started = self._last_line = time.monotonic()
        self._cpu_started = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if now - self._last_line >= _PROGRESS_SECONDS:
            self._last_line = now
            self._log(f"batch {batch + 1}/{self._steps}", (batch + 1) / self._steps, logs)

    def on_epoch_end(self, epoch, logs=None):
        # `logs` is what Keras collects into the history.
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs["seconds"] = time.monotonic() - self._epoch_started
        logs["cpu_seconds"] = time.process_time() - self._cpu_started
        self._log(f"{self._validation} {logs['val_accuracy']:.1%}", 1.0, logs)

    def _log(self, detail: str, share_of_epoch: float, logs) -> None:
        of_epoch = share_of_epoch * self._costs[self._epoch]
        done = sum(self._costs[self._first_epoch : self._epoch]) + of_epoch
        left = sum(self._costs[self._epoch :]) - of_epoch
        seconds_left = (time.monotonic() - self._started) / done * left
        _LOGGER.info(
            "    epoch %*d/%d  loss %.3f  accuracy %.1f%%  %s  %d:%02d left",
            len(str(len(self._costs))),
            self._epoch + 1,
            len(self._costs),
            logs["loss"],
            100 * logs["accuracy"],
            detail,
            *divmod(round(seconds_left), 60),
        )
