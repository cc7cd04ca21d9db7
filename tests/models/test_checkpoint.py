"""A training that was stopped goes on exactly where it was; whatever the file, nothing is lost."""

import contextlib
import dataclasses
import errno
import logging
import pathlib
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.models.muwnet import checkpoint, examples, training
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.tests.models import splits

LOGGER = "muwnet_fer.training"


class InterruptAt(logging.Handler):
    """Ctrl-C at the first line of the training's log that holds a text."""

    def __init__(self, text: str):
        super().__init__()
        self._text = text

    def emit(self, record):
        if self._text in record.getMessage():
            raise KeyboardInterrupt


@contextlib.contextmanager
def interrupted_at(text: str):
    handler, logger = InterruptAt(text), logging.getLogger(LOGGER)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def config(tiny_config) -> muwnet_config.MuWNetConfig:
    """Four epochs of the tiny network, with two batches each and images left out."""
    return dataclasses.replace(tiny_config, phases=(muwnet_config.Phase(4),))


def build_shallow(config) -> keras.Model:
    """Returns a network that compiles in no time, for what does not depend on the network."""
    image = keras.Input((48, 48), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(config.fully_connected, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(7, activation="softmax")(x))


def train(
    config, folder, source="source", sizes=(40, 14), build=build_shallow, commit=None
) -> tuple[dict, list[np.ndarray]]:
    """Trains as a new process would; returns what the checkpoint holds, and the model's weights.

    The checkpoint comes as a dict without what a resumed training may differ in.
    """
    keras.utils.set_random_seed(config.seed)
    model = build(config)
    train, public_test = (splits.make_split(size, seed) for seed, size in enumerate(sizes))
    returned = training.fit(model, config, train, public_test, folder, source, commit)
    written = checkpoint.read(folder / checkpoint.FILE)
    assert_equal(vars(written), vars(returned))
    state = {name: value for name, value in vars(written).items() if name != "resumed_after"}
    state["history"] = {k: v for k, v in written.history.items() if "seconds" not in k}
    return state, model.get_weights()


def assert_equal(got, expected) -> None:
    """Holds nested lists, dicts and arrays against each other, bit for bit."""
    assert type(got) is type(expected)
    if isinstance(got, dict):
        assert got.keys() == expected.keys()
        got, expected = list(got.values()), list(expected.values())
    if isinstance(got, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(got, np.ndarray):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected


def read_log(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


# === Goes on exactly ===


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_decay": 0.1},
        {"optimizer": "adam", "schedule": "cosine", "learning_rate": 0.01, "warmup_epochs": 1.0},
    ],
    ids=["sgd", "adam"],
)
def test_stopped_training_ends_like_one_that_was_not(changes, config, tmp_path, monkeypatch):
    """With every random generator of MuWNet."""
    config = dataclasses.replace(config, **changes)
    build = muwnet_model.build_muwnet
    expected = train(config, tmp_path / "whole", build=build)
    monkeypatch.setattr(training, "_PROGRESS_SECONDS", 0)  # a line a batch
    for line in ("epoch 3/4  loss", "epoch 4/4  loss"):
        with interrupted_at(line):
            train(config, tmp_path / "stopped", build=build)
    assert_equal(train(config, tmp_path / "stopped", build=build), expected)
    assert checkpoint.read(tmp_path / "stopped" / checkpoint.FILE).resumed_after == [2, 3]


@pytest.mark.parametrize(
    ("source", "expected"), [("source", "first"), ("edited", "first, then second")]
)
def test_the_commit_is_that_of_the_beginning_until_an_edit(source, expected, config, tmp_path):
    with interrupted_at("epoch 2/4"):
        train(config, tmp_path, commit="first")
    state, _ = train(config, tmp_path, source, commit="second")
    assert state["commit"] == expected


def test_phases_on_smaller_faces_go_on_where_they_were_stopped(config, tmp_path):
    phases = (muwnet_config.Phase(2, input_size=24), muwnet_config.Phase(2))
    config = dataclasses.replace(config, phases=phases, averaging=0.9, schedule="cosine")
    build = muwnet_model.build_muwnet
    expected = train(config, tmp_path / "whole", build=build)
    for line in ("epoch 2/4", "epoch 3/4", "epoch 4/4"):
        with interrupted_at(line):
            train(config, tmp_path / "stopped", build=build)
    got, weights = train(config, tmp_path / "stopped", build=build)
    assert_equal((got, weights), expected)
    # The weights are those of the better of the last two epochs, whatever the first two reached.
    model = build(config)
    model.set_weights(weights)
    model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
    public_test = splits.make_split(14, 1)
    _, accuracy = model.evaluate(public_test.faces, public_test.labels, verbose=0)
    assert accuracy == pytest.approx(max(got["history"]["val_accuracy"][2:]))


def make_phases(*phases) -> tuple[muwnet_config.Phase, ...]:
    return tuple(muwnet_config.Phase(*phase) for phase in phases)


def make_adam_with_averages(config, steps) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)


@pytest.mark.parametrize(
    ("changes", "make_optimizer"),
    [
        (
            {"schedule": "plateau", "phases": make_phases((1,), (2, 1e-3), (1,))},
            training.make_optimizer,
        ),
        # Keras puts the averages in place of the weights where a phase ends.
        ({"phases": make_phases((2,), (2,))}, make_adam_with_averages),
    ],
    ids=["rates", "averages"],
)
def test_phases_go_on_wherever_they_were_stopped(
    changes, make_optimizer, config, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "make_optimizer", make_optimizer)
    config = dataclasses.replace(config, **changes)
    expected = train(config, tmp_path / "whole")
    for line in ("epoch 2/4", "epoch 3/4", "epoch 4/4"):  # within phases and between them
        with interrupted_at(line):
            train(config, tmp_path / "stopped")
    assert_equal(train(config, tmp_path / "stopped"), expected)
    assert checkpoint.read(tmp_path / "stopped" / checkpoint.FILE).resumed_after == [1, 2, 3]


def test_plateau_that_was_stopped_lowers_the_rate_when_it_would_have(config, tmp_path):
    # Nothing is to be learnt at a rate of nearly nothing: it falls after ten such epochs.
    config = dataclasses.replace(
        config, schedule="plateau", learning_rate=1e-4, phases=(muwnet_config.Phase(14),)
    )
    black = examples.Split(tf.zeros((7, 48, 48), tf.uint8), tf.range(7, dtype=tf.int64))

    def fit(folder):
        image = keras.Input((48, 48), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        model = keras.Model(image, keras.layers.Dense(7, activation="softmax")(x))
        return training.fit(model, config, black, black, folder, "source")

    with interrupted_at("epoch  9/14"):
        fit(tmp_path)
    state = checkpoint.read(tmp_path / checkpoint.FILE)
    assert (state.epochs, state.plateau["wait"]) == (8, 7)
    rates = fit(tmp_path).history["learning_rate"]
    assert rates == pytest.approx([1e-4] * 11 + [1e-5] * 3)


def test_resumed_training_says_so_and_shows_all_epochs_once(config, tmp_path, caplog):
    with interrupted_at("epoch 3/4"):
        train(config, tmp_path)
    caplog.clear()
    with caplog.at_level(logging.INFO, LOGGER):
        train(config, tmp_path)
    path = tmp_path / checkpoint.FILE
    lines = read_log(caplog)
    assert lines[0] == f"    resumed after epoch 2 of 4 (checkpoint {path})"
    assert [line.split("  loss")[0] for line in lines[1:]] == ["    epoch 3/4", "    epoch 4/4"]
    history = checkpoint.read(path).history
    assert {len(values) for values in history.values()} == {4}
    assert min(history["seconds"]) > 0


# === An edited source ===


def test_an_edit_does_not_discard_what_is_trained_and_is_reported(config, tmp_path, caplog):
    expected = train(config, tmp_path / "whole", source="edited")
    with interrupted_at("epoch 3/4"):
        train(config, tmp_path / "stopped")
    with caplog.at_level(logging.INFO, LOGGER):
        resumed = train(config, tmp_path / "stopped", source="edited")
    path = tmp_path / "stopped" / checkpoint.FILE
    assert (
        f"    resumed after epoch 2 of 4 (checkpoint {path}); the source was edited since"
        in read_log(caplog)
    )
    assert_equal(resumed, expected)


def test_a_complete_training_is_not_done_again(config, tmp_path, caplog):
    expected = train(config, tmp_path)
    content = (tmp_path / checkpoint.FILE).read_bytes()
    with caplog.at_level(logging.INFO, LOGGER):
        assert_equal(train(config, tmp_path), expected)
    path = tmp_path / checkpoint.FILE
    assert read_log(caplog) == [f"    all 4 epochs were done before (checkpoint {path})"]
    assert path.read_bytes() == content


def test_an_edit_before_the_export_discards_no_training(config, tmp_path, caplog):
    train(config, tmp_path)
    with caplog.at_level(logging.INFO, LOGGER):
        train(config, tmp_path, source="edited")
    path = tmp_path / checkpoint.FILE
    assert read_log(caplog) == [
        f"    all 4 epochs were done before (checkpoint {path}); the source was edited since"
    ]


def test_an_edit_after_the_export_trains_again(config, tmp_path, caplog):
    expected, _ = train(config, tmp_path)
    done = checkpoint.read(tmp_path / checkpoint.FILE)
    checkpoint.write(tmp_path / checkpoint.FILE, dataclasses.replace(done, exported=True))
    events = set((tmp_path / training.TENSORBOARD).rglob("events*"))
    with caplog.at_level(logging.INFO, LOGGER):
        again, _ = train(config, tmp_path, source="edited")
    path = tmp_path / checkpoint.FILE
    lines = read_log(caplog)
    edited = f"the source was edited after {path} was exported"
    assert lines[0] == f"    training starts anew: {edited}"
    assert len(lines) == 5
    assert again.pop("source_fingerprint") == "edited"
    del expected["source_fingerprint"]
    assert_equal(again, expected)
    assert checkpoint.read(path).resumed_after == []
    # TensorBoard does not show two trainings as one.
    assert not events & set((tmp_path / training.TENSORBOARD).rglob("events*"))


# === Files that do not fit ===


def spoil_bytes(path: pathlib.Path) -> None:
    path.write_bytes(b"no checkpoint")


def cut_short(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [spoil_bytes, cut_short, empty])
def test_a_damaged_checkpoint_is_kept_and_training_starts_anew(spoil, config, tmp_path, caplog):
    expected = train(config, tmp_path)
    path = tmp_path / checkpoint.FILE
    spoil(path)
    damaged = path.read_bytes()
    earlier = tmp_path / "checkpoint.misfit-1.npz"
    earlier.write_text("of an earlier accident")
    with caplog.at_level(logging.INFO, LOGGER):
        assert_equal(train(config, tmp_path), expected)
    line = read_log(caplog)[0]
    assert line.startswith(f"    training starts anew: {path} is damaged (")
    assert line.endswith(f"; kept as {tmp_path / 'checkpoint.misfit-2.npz'}")
    assert (tmp_path / "checkpoint.misfit-2.npz").read_bytes() == damaged
    assert earlier.read_text() == "of an earlier accident"


def test_no_damage_goes_unnoticed(tmp_path):
    path = tmp_path / checkpoint.FILE
    written = checkpoint.Checkpoint(
        "s", "f", 2, False, {"loss": [0.1]}, variables=[np.arange(50.0)]
    )
    checkpoint.write(path, written)
    content = path.read_bytes()
    noticed = 0
    for position in range(0, len(content), 3):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        )
        try:
            assert_equal(vars(checkpoint.read(path)), vars(written))
        except checkpoint.MisfitError:
            noticed += 1
    assert noticed > len(content) / 3 / 2  # the rest are bytes that mean nothing, such as dates


def change_layers(config):
    return dataclasses.replace(config, fully_connected=17), (40, 14)


def change_faces(config):
    return config, (41, 14)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_layers, "the checkpoint is of a network with other layers"),
        (change_faces, "the checkpoint is of other faces"),
    ],
)
def test_a_checkpoint_of_another_training_is_kept(change, reason, config, tmp_path, caplog):
    changed, sizes = change(config)
    expected = train(changed, tmp_path / "expected", sizes=sizes)
    with interrupted_at("epoch 3/4"):
        train(config, tmp_path)
    content = (tmp_path / checkpoint.FILE).read_bytes()
    caplog.clear()
    with caplog.at_level(logging.INFO, LOGGER):
        assert_equal(train(changed, tmp_path, sizes=sizes), expected)
    aside = tmp_path / "checkpoint.misfit-1.npz"
    assert read_log(caplog)[0] == f"    training starts anew: {reason}; kept as {aside}"
    assert aside.read_bytes() == content


def test_a_checkpoint_that_cannot_be_read_is_no_reason_to_start_anew(config, tmp_path):
    (tmp_path / checkpoint.FILE).mkdir()
    with pytest.raises(IsADirectoryError):
        train(config, tmp_path)
    assert (tmp_path / checkpoint.FILE).is_dir()


# === Writing ===


def test_what_a_killed_process_left_behind_goes(config, tmp_path):
    unfinished = tmp_path / ".checkpoint.npz.123.unfinished"
    unfinished.write_bytes(b"half a checkpoint")
    train(config, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {checkpoint.FILE, training.TENSORBOARD}


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path):
    path = tmp_path / checkpoint.FILE
    written = checkpoint.Checkpoint("s", "f", 2, variables=[np.arange(10.0)])
    checkpoint.write(path, written)
    larger = checkpoint.Checkpoint("s", "f", 2, variables=[np.zeros(100_000)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            checkpoint.write(path, larger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.FILE]
    assert_equal(vars(checkpoint.read(path)), vars(written))
