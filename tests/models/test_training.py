"""fit keeps its word on rates, best epoch, history, seeds and divergence; on a linear network."""

import dataclasses
import logging
import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import examples, training
from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.tests.models import splits

HISTORY = {
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "cpu_seconds",
}


def build_linear() -> keras.Model:
    """Returns a network that compiles in no time and has no state but its weights."""
    keras.utils.set_random_seed(1)
    image = keras.Input((48, 48), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(7, activation="softmax")(x))


def set_phases(config, *phases, **changes) -> muwnet_config.MuWNetConfig:
    return dataclasses.replace(
        config, phases=tuple(muwnet_config.Phase(*phase) for phase in phases), **changes
    )


def set_clock(monkeypatch, read) -> None:
    """Has trainings take `read()` seconds, and two processors."""
    clocks = types.SimpleNamespace(monotonic=read, process_time=lambda: 2 * read())
    monkeypatch.setattr(training, "time", clocks)


def evaluate(model: keras.Model, split: examples.Split) -> dict[str, float]:
    batches = examples.batch_for_validation(split, 16)
    return model.evaluate(batches, verbose=0, return_dict=True)


def fit(model, config, train, public_test, folder) -> dict[str, list[float]]:
    return training.fit(model, config, train, public_test, folder, "source").history


# === fit: phases, best epoch, history ===


def test_history_has_one_value_an_epoch_with_each_phase_s_rate(tiny_config, tmp_path):
    config = set_phases(tiny_config, (2,), (1, 1e-4), (2,), learning_rate=1e-3)
    train, public_test = splits.make_split(40, 1), splits.make_split(14, 2)
    history = fit(build_linear(), config, train, public_test, tmp_path)
    assert history.keys() == HISTORY
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(HISTORY, 5)
    assert all(type(value) is float for values in history.values() for value in values)
    assert history["learning_rate"] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-4])
    assert min(history["seconds"]) > 0
    assert min(history["cpu_seconds"]) > 0
    # TensorBoard finds both curves.
    for name in ("train", "validation"):
        assert list(tmp_path.joinpath("tensorboard", name).glob("events.out.tfevents.*"))


def test_best_epoch_of_all_phases_is_restored(tiny_config, tmp_path):
    # The second phase climbs the loss: it unlearns what the first one learnt.
    config = set_phases(tiny_config, (4, 0.002), (3, -0.5))
    public_test = splits.make_split(35, 2)
    model = build_linear()
    history = fit(model, config, splits.make_split(70, 1), public_test, tmp_path)
    best = int(np.argmax(history["val_accuracy"]))
    assert best < 4
    assert max(history["val_accuracy"][4:]) < history["val_accuracy"][best]
    restored = evaluate(model, public_test)
    assert restored["accuracy"] == pytest.approx(history["val_accuracy"][best])
    assert restored["loss"] == pytest.approx(history["val_loss"][best], rel=1e-4)


def test_split_smaller_than_a_batch_is_trained_on(tiny_config, tmp_path):
    model = build_linear()
    before = [weight.numpy() for weight in model.weights]
    fit(model, tiny_config, splits.make_split(7, 1), splits.make_split(7, 2), tmp_path)
    for weight, initial in zip(model.weights, before, strict=True):
        assert np.abs(weight.numpy() - initial).max() > 0


def test_label_smoothing_reaches_training_and_validation(tiny_config, tmp_path):
    # Weights of zero: each probability is 1/7 and the loss ln 7, however smooth the labels. With
    # one logit of 2 it tells smoothing apart.
    model = build_linear()
    logits = np.array([2, 0, 0, 0, 0, 0, 0], np.float32)
    model.set_weights([np.zeros((2304, 7)), logits])
    config = set_phases(tiny_config, (1,), label_smoothing=0.2, learning_rate=0.0)
    split = splits.make_split(16, 1)
    history = fit(model, config, split, split, tmp_path)
    labels = np.eye(7)[np.arange(16) % 7] * 0.8 + 0.2 / 7
    expected = -(labels * (logits - np.log(np.exp(logits).sum()))).sum(axis=1).mean()
    assert history["loss"] == pytest.approx([expected], rel=1e-4)
    assert history["val_loss"] == pytest.approx([expected], rel=1e-4)


def test_equal_seeds_give_equal_histories_and_weights(tiny_config, tmp_path):
    def run(folder):
        keras.utils.set_random_seed(tiny_config.seed)
        model = muwnet_model.build_muwnet(tiny_config)
        initial = model.get_weights()
        history = fit(
            model, tiny_config, splits.make_split(40, 1), splits.make_split(14, 2), folder
        )
        del history["seconds"], history["cpu_seconds"]
        return history, initial, model.get_weights()

    first, initial, weights = run(tmp_path / "first")
    second, _, other_weights = run(tmp_path / "second")
    assert first == second
    for weight, other in zip(weights, other_weights, strict=True):
        np.testing.assert_array_equal(weight, other)
    assert any(np.any(a != b) for a, b in zip(weights, initial, strict=True))


# === fit: divergence ===


def test_training_that_diverges_raises_at_its_first_batch(tiny_config, tmp_path):
    model = build_linear()
    model.layers[-1].bias.assign(np.full(7, np.nan))
    with pytest.raises(training.TrainingDivergedError, match="got nan at batch 0: lower"):
        fit(model, tiny_config, splits.make_split(40, 1), splits.make_split(14, 2), tmp_path)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_the_training(loss):
    guard = training.StopOnDivergence()
    guard.on_train_batch_end(2, {"loss": 1e30})
    with pytest.raises(training.TrainingDivergedError, match=f"got {loss} at batch 3"):
        guard.on_train_batch_end(3, {"loss": loss})


# === Schedules ===


def list_rates(config, steps: int) -> list[float]:
    """Returns the rate of each step of the training, and the one behind its end."""
    optimizer = training.make_optimizer(config, steps)
    rates = []
    for step in range(config.epochs * steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    return rates


def test_cosine_rises_linearly_in_the_warm_up_and_falls_to_zero(tiny_config):
    config = set_phases(
        tiny_config, (6,), (4,), schedule="cosine", learning_rate=0.4, warmup_epochs=2.0
    )
    rates = list_rates(config, steps=5)
    assert rates[:11] == pytest.approx([0.04 * step for step in range(11)], abs=1e-6)
    progress = np.arange(41) / 40
    assert rates[10:] == pytest.approx(0.2 * (1 + np.cos(np.pi * progress)), abs=1e-6)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_cosine_without_warm_up_starts_at_its_highest(tiny_config):
    config = set_phases(tiny_config, (2,), schedule="cosine", learning_rate=0.4)
    assert list_rates(config, steps=2) == pytest.approx([0.4, 0.3414214, 0.2, 0.0585786, 0.0])


def test_cosine_ends_with_the_training(tiny_config, tmp_path, caplog):
    # 40 faces make two batches of 16: counting the dropped remainder would miss the end.
    config = set_phases(tiny_config, (3,), schedule="cosine", warmup_epochs=1.0)
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        history = fit(
            build_linear(), config, splits.make_split(40, 1), splits.make_split(14, 2), tmp_path
        )
    assert history["learning_rate"] == pytest.approx([0.05, 0.025, 0], abs=1e-6)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("training")]
    for epoch, line in enumerate(lines):
        loss, accuracy, val = (history[key][epoch] for key in ("loss", "accuracy", "val_accuracy"))
        expected = (
            f"    epoch {epoch + 1}/3  loss {loss:.3f}  accuracy {accuracy:.1%}  "
            f"PublicTest {val:.1%}  "
        )
        assert re.fullmatch(re.escape(expected) + r"\d+:\d\d left", line)
    assert len(lines) == 3
    assert lines[-1].endswith(" 0:00 left")


def test_plateau_lowers_the_rate_to_its_minimum_and_no_further(tiny_config, tmp_path):
    # Nothing is to be learnt from black faces: after ten epochs more the rate would fall to 2e-6.
    config = set_phases(tiny_config, (24,), schedule="plateau", learning_rate=2e-5)
    black = np.zeros((7, 48, 48), np.uint8), np.arange(7, dtype=np.int64)
    split = examples.Split(*map(tf.constant, black))
    history = fit(build_linear(), config, split, split, tmp_path)
    assert history["learning_rate"] == pytest.approx([2e-5] * 11 + [1e-5] * 13)


# === Optimizers ===


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_shrinks_kernels_only(tiny_config, optimizer):
    config = dataclasses.replace(
        tiny_config, optimizer=optimizer, learning_rate=0.1, weight_decay=0.5
    )
    variables = muwnet_model.build_muwnet(config).trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    # Without gradients nothing but the decay moves a weight.
    training.make_optimizer(config, 1).apply([tf.zeros(v.shape) for v in variables], variables)
    kinds = {variable.path.rsplit("/", 1)[-1] for variable in variables}
    assert {"kernel", "bias", "beta", "gamma"} <= kinds
    for variable in variables:
        spared = variable.path.rsplit("/", 1)[-1] in {"bias", "beta", "gamma"}
        expected = 1.0 if spared else 1 - 0.1 * 0.5
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, err_msg=variable.path)


def test_optimizers_are_as_configured(tiny_config):
    sgd = training.make_optimizer(tiny_config, 1)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert (sgd.momentum, sgd.nesterov, sgd.weight_decay) == (0.9, True, None)
    adam = training.make_optimizer(dataclasses.replace(tiny_config, optimizer="adam"), 1)
    assert isinstance(adam, keras.optimizers.Adam)
    assert float(adam.learning_rate) == pytest.approx(0.05)


# === Averages of the weights ===


def test_the_averages_are_validated_kept_and_restored(tiny_config, tmp_path):
    config = set_phases(tiny_config, (3,), averaging=0.999, learning_rate=0.01)
    public_test = splits.make_split(35, 2)
    model = build_linear()
    state = training.fit(model, config, splits.make_split(70, 1), public_test, tmp_path, "source")
    best = int(np.argmax(state.history["val_accuracy"]))
    restored = evaluate(model, public_test)
    assert restored["accuracy"] == pytest.approx(state.history["val_accuracy"][best])
    assert restored["loss"] == pytest.approx(state.history["val_loss"][best], rel=1e-4)
    plain = build_linear()
    plain_config = dataclasses.replace(config, averaging=0.0)
    split = splits.make_split(70, 1)
    other = training.fit(plain, plain_config, split, public_test, tmp_path / "plain", "source")
    # The same training; only what is judged differs.
    assert other.history["loss"] == pytest.approx(state.history["loss"])
    assert other.history["val_loss"] != pytest.approx(state.history["val_loss"])


# === Progress ===


def test_long_epochs_report_once_a_minute(monkeypatch, caplog):
    now = 0.0
    # Not time.monotonic itself: other threads look at that clock.
    set_clock(monkeypatch, lambda: now)
    progress = training.Progress([1.0] * 10, steps=100, validation="PublicTest")
    progress.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.5)))
    logs = {"loss": 1.5, "accuracy": 0.25}
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        progress.on_epoch_begin(0)
        for batch, seconds in ((9, 59.9), (19, 60.0), (29, 100.0), (39, 120.0)):
            now = seconds
            progress.on_train_batch_end(batch, logs)
        now = 300.0
        logs["val_accuracy"] = 0.5
        progress.on_epoch_end(0, logs)
    assert [record.getMessage() for record in caplog.records] == [
        "    epoch  1/10  loss 1.500  accuracy 25.0%  batch 20/100  49:00 left",
        "    epoch  1/10  loss 1.500  accuracy 25.0%  batch 40/100  48:00 left",
        "    epoch  1/10  loss 1.500  accuracy 25.0%  PublicTest 50.0%  45:00 left",
    ]
    assert logs["learning_rate"] == 0.5
    assert (logs["seconds"], logs["cpu_seconds"]) == (300.0, 600.0)


def test_time_left_counts_no_epoch_of_an_earlier_process(monkeypatch, caplog):
    now = 0.0
    set_clock(monkeypatch, lambda: now)
    progress = training.Progress([1.0] * 10, steps=2, validation="PublicTest", done=6)
    progress.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.5)))
    logs = {"loss": 1.5, "accuracy": 0.25, "val_accuracy": 0.5}
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        progress.on_epoch_begin(6)
        now = 100.0
        progress.on_train_batch_end(0, logs)
        now = 200.0
        progress.on_epoch_end(6, logs)
    assert [record.getMessage().rsplit("  ", 1)[1] for record in caplog.records] == [
        "11:40 left",  # three and a half epochs of 200 s
        "10:00 left",
    ]


def test_time_left_goes_by_the_costs_of_the_epochs(monkeypatch, caplog):
    now = 0.0
    set_clock(monkeypatch, lambda: now)
    progress = training.Progress([0.5, 0.5, 1.0], steps=1, validation="PublicTest")
    progress.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.5)))
    logs = {"loss": 1.5, "accuracy": 0.25, "val_accuracy": 0.5}
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        for epoch, seconds in enumerate((60.0, 120.0, 240.0)):
            now = seconds
            progress.on_epoch_begin(epoch)
            progress.on_epoch_end(epoch, logs)
    left = [record.getMessage().rsplit("  ", 1)[1] for record in caplog.records]
    assert left == ["3:00 left", "2:00 left", "0:00 left"]


def test_seconds_are_an_epoch_s_own(monkeypatch):
    now = 10.0
    set_clock(monkeypatch, lambda: now)
    progress = training.Progress([1.0] * 2, steps=1, validation="PublicTest")
    progress.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.5)))
    seconds = []
    for epoch, (begin, end) in enumerate([(20.0, 25.0), (30.0, 37.0)]):
        now = begin
        progress.on_epoch_begin(epoch)
        now = end
        logs = {"loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5}
        progress.on_epoch_end(epoch, logs)
        seconds.append((logs["seconds"], logs["cpu_seconds"]))
    assert seconds == [(5.0, 10.0), (7.0, 14.0)]
