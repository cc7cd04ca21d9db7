"""How MuWNet is fitted: optimizer, schedule, callbacks, phases; the best epoch by PublicTest."""

import logging
import math
import pathlib
import tempfile
import time

import keras

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import examples

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
    log_dir: str,
) -> dict[str, list[float]]:
    """Trains in place, restores the best epoch's weights, returns the history by epoch.

    Args:
      log_dir: where TensorBoard's event files go.

    Returns:
      loss, accuracy, val_loss, val_accuracy, learning_rate, seconds: one value an epoch each.

    Raises:
      TrainingDivergedError: at the first batch whose loss is NaN or infinite.
    """
    batches = examples.batch_for_training(train, config.batch_size, config.seed)
    validation = examples.batch_for_validation(public_test, config.batch_size)
    steps = max(1, train.size // config.batch_size)
    model.compile(
        optimizer=make_optimizer(config, steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    history: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        best = pathlib.Path(folder, "best.weights.h5")
        callbacks = [
            StopOnDivergence(),
            Progress(config.epochs, steps, config.validation_name),
            keras.callbacks.ModelCheckpoint(
                best, "val_accuracy", mode="max", save_best_only=True, save_weights_only=True
            ),
            keras.callbacks.TensorBoard(log_dir, write_graph=False),
        ]
        if config.schedule == "plateau":
            # Factor and patience are Keras' defaults: the paper gives only the two ends.
            callbacks.append(
                keras.callbacks.ReduceLROnPlateau("val_loss", min_lr=_MINIMUM_LEARNING_RATE)
            )
        done = 0
        for phase in config.phases:
            if phase.learning_rate is not None:
                model.optimizer.learning_rate = phase.learning_rate
            epochs = model.fit(
                batches,
                validation_data=validation,
                initial_epoch=done,
                epochs=done + phase.epochs,
                callbacks=callbacks,
                verbose=0,
            ).history
            for name, values in epochs.items():
                history.setdefault(name, []).extend(float(value) for value in values)
            done += phase.epochs
        model.load_weights(best)
    return history


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
    decay = config.weight_decay or None
    if config.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
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


class Progress(keras.callbacks.Callback):
    """Logs a line an epoch, and one a minute within long ones; adds seconds and learning rate.

    Args:
      epochs: of all phases.
      steps: batches an epoch.
      validation: name of what is validated on.
    """

    def __init__(self, epochs: int, steps: int, validation: str):
        super().__init__()
        self._epochs, self._steps, self._validation = epochs, steps, validation
        self._started = self._epoch_started = self._last_line = time.monotonic()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._epoch_started = self._last_line = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if now - self._last_line >= _PROGRESS_SECONDS:
            self._last_line = now
            self._log(f"batch {batch + 1}/{self._steps}", (batch + 1) / self._steps, logs)

    def on_epoch_end(self, epoch, logs=None):
        # `logs` is what Keras collects into the history.
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs["seconds"] = time.monotonic() - self._epoch_started
        self._log(f"{self._validation} {logs['val_accuracy']:.1%}", 1.0, logs)

    def _log(self, detail: str, share_of_epoch: float, logs) -> None:
        done = self._epoch + share_of_epoch
        left = (time.monotonic() - self._started) / done * (self._epochs - done)
        _LOGGER.info(
            "    epoch %*d/%d  loss %.3f  accuracy %.1f%%  %s  %d:%02d left",
            len(str(self._epochs)),
            self._epoch + 1,
            self._epochs,
            logs["loss"],
            100 * logs["accuracy"],
            detail,
            *divmod(round(left), 60),
        )
