"""run_fn, as TFX's Trainer calls it: what is trained on, what is left behind, what is resumed."""

import dataclasses
import json
import logging
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer import fn_args_utils

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import (
    checkpoint,
    distillation,
    model,
    packaged_weights,
    precise_batch_norm,
    trainer,
    training,
)
from muwnet_fer.models.muwnet import config as muwnet_config
from muwnet_fer.tests.models import splits

KAGGLE_MD5 = list(fer2013.KAGGLE_MD5)
CONSTANT = 3  # images of one grey level in each split


@pytest.fixture
def config(tiny_config) -> muwnet_config.MuWNetConfig:
    return dataclasses.replace(tiny_config, phases=(muwnet_config.Phase(2),))


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """Transformed Examples of 40 and 14 faces, and of some images of one grey level each."""
    paths = {}
    for seed, (name, size) in enumerate({"train": 40, "public_test": 14}.items()):
        split = splits.make_split(size, seed)
        faces, labels = split.faces.numpy(), split.labels.numpy()
        constant = np.full((CONSTANT, 48, 48), 9, np.uint8)
        paths[name] = str(tmp_path / f"{name}.gz")
        splits.write_records(
            paths[name], np.concatenate([faces, constant]), [*labels, *range(CONSTANT)]
        )
    return paths


def run(
    config,
    transformed,
    files,
    folder: pathlib.Path,
    train=("train",),
    warm_start=None,
    teachers=(),
    data_md5="this",
    source="source",
) -> dict:
    """Runs the Trainer with its checkpoint beside `folder`; returns its history.json."""
    (folder / "run").mkdir(parents=True, exist_ok=True)
    graph = pathlib.Path(transformed.output.transform_savedmodel_dir).parent
    trainer.run_fn(
        fn_args_utils.FnArgs(
            train_files=[files[name] for name in train],
            eval_files=[files["public_test"]],
            transform_graph_path=str(graph),
            model_run_dir=str(folder / "run"),
            serving_model_dir=str(folder / "model"),
            custom_config={
                "muwnet": dataclasses.asdict(config),
                "checkpoint_dir": str(folder.parent / "checkpoint"),
                "warm_start": warm_start,
                "teachers": list(teachers),
                "lineage": {
                    "profile": "tiny",
                    "source_fingerprint": source,
                    "data_md5": data_md5,
                },
            },
        )
    )
    return json.loads((folder / "run" / "history.json").read_text())


def read_log(caplog) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


def test_constant_images_are_validated_on_and_not_trained_on(
    config, transformed, files, tmp_path, caplog
):
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        facts = run(config, transformed, files, tmp_path / "out")
    assert facts["constant_images_left_out"] == CONSTANT
    assert facts["resumed_after"] == []
    assert f"40 train and {14 + CONSTANT} public_test faces" in read_log(caplog)
    assert "3 images of one grey level are left out of the training" in read_log(caplog)
    manifest = tmp_path / "out" / "model" / "assets.extra" / "muwnet.json"
    history = facts.pop("history")
    assert json.loads(manifest.read_text()) == facts
    assert len(history["loss"]) == 2
    run_dir = tmp_path / "out" / "run"
    assert {"accuracy.png", "loss.png"} <= {path.name for path in run_dir.iterdir()}
    for name in ("train", "validation"):
        assert list((run_dir / name).glob("events.out.tfevents.*"))


def test_constant_images_of_a_merged_public_test_are_left_out_too(
    config, transformed, files, tmp_path, caplog
):
    config = dataclasses.replace(config, train_on_public_test=True)
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        both = ("train", "public_test")
        facts = run(config, transformed, files, tmp_path / "out", train=both)
    assert facts["constant_images_left_out"] == 2 * CONSTANT
    assert f"54 train and {14 + CONSTANT} public_test faces" in read_log(caplog)


def test_temperature_is_fitted_on_public_test_where_that_is_not_trained_on(
    config, transformed, files, tmp_path
):
    facts = run(config, transformed, files, tmp_path / "fitted" / "out")
    assert facts["temperature"] not in (0, 1)
    predict = tf.saved_model.load(str(tmp_path / "fitted/out/model")).signatures["predict_faces"]
    split = splits.make_split(14, 1)

    def compute_loss(temperature: float) -> float:
        """Of the exported model, had this temperature been chosen."""
        logits = np.log(predict(image=split.faces)["probabilities"]) * facts["temperature"]
        labels = [*split.labels.numpy()]
        return -tf.nn.log_softmax(logits / temperature).numpy()[range(14), labels].mean()

    best = min(np.geomspace(0.25, 4, 50), key=compute_loss)  # its limits
    assert facts["temperature"] == pytest.approx(best, rel=0.3)
    merged = dataclasses.replace(config, train_on_public_test=True)
    both = ("train", "public_test")
    facts = run(merged, transformed, files, tmp_path / "merged" / "out", train=both)
    assert facts["temperature"] == 1.0


def test_what_is_exported_has_statistics_of_faces_as_they_are(config, transformed, files, tmp_path):
    plain = run(config, transformed, files, tmp_path / "plain" / "out")
    config = dataclasses.replace(config, precise_batch_norm=True)
    facts = run(config, transformed, files, tmp_path / "precise" / "out")
    assert facts["history"]["val_accuracy"] == plain["history"]["val_accuracy"]
    expected = model.build_muwnet(config)
    packaged_weights.assign(expected, packaged_weights.read(str(tmp_path / "plain/out/model")))
    precise_batch_norm.measure(expected, splits.make_split(40, 0).faces, config.batch_size)
    exported = packaged_weights.read(str(tmp_path / "precise" / "out" / "model"))
    for one, other in zip(expected.weights, exported.arrays, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=one.path)
    # What the manifest says is of the exported network.
    split = splits.make_split(14, 1)
    faces = np.concatenate([split.faces, np.full((CONSTANT, 48, 48), 9, np.uint8)])
    labels = [*split.labels.numpy(), *range(CONSTANT)]
    predict = tf.saved_model.load(str(tmp_path / "precise/out/model")).signatures["predict_faces"]
    found = predict(image=faces)["class_id"].numpy() == labels
    assert facts["public_test_accuracy"] == pytest.approx(found.mean())


def test_constant_images_are_trained_on_where_the_config_says_so(
    config, transformed, files, tmp_path, caplog
):
    config = dataclasses.replace(config, leave_out_constant_images=False)
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        facts = run(config, transformed, files, tmp_path / "out")
    assert facts["constant_images_left_out"] == 0
    assert f"{40 + CONSTANT} train and" in read_log(caplog)
    assert "grey level" not in read_log(caplog)


def test_training_starts_from_the_weights_it_is_told(config, transformed, files, tmp_path, caplog):
    still = dataclasses.replace(config, learning_rate=1e-12)
    trained = run(config, transformed, files, tmp_path / "first" / "out", data_md5="other")
    weights = packaged_weights.read(str(tmp_path / "first" / "out" / "model"))
    warm_start = {"name": str(tmp_path / "first/out/model"), "sha256": weights.sha256}
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        facts = run(still, transformed, files, tmp_path / "still" / "out", warm_start=warm_start)
    assert "learnt from other data (MD5 other)" in read_log(caplog)
    assert facts["warm_start"] == {**warm_start, "data_md5": "other"}
    assert trained["warm_start"] is None
    moved = packaged_weights.read(str(tmp_path / "still" / "out" / "model"))
    names = [weight.path for weight in model.build_muwnet(config).weights]
    for name, one, other in zip(names, weights.arrays, moved.arrays, strict=True):
        if "moving" not in name and "seed" not in name:
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=name)
    changed = {**warm_start, "sha256": "0"}
    with pytest.raises(packaged_weights.WeightsError, match="as it was when the run began"):
        run(still, transformed, files, tmp_path / "changed" / "out", warm_start=changed)


def test_who_learns_from_a_model_trained_on_public_test_is_no_better_than_it(
    config, transformed, files, tmp_path, caplog
):
    merged = dataclasses.replace(config, train_on_public_test=True)
    facts = run(merged, transformed, files, tmp_path / "first" / "out")
    assert facts["public_test_contaminated"]
    path = tmp_path / "first" / "out" / "model"
    named = {"name": str(path), "sha256": packaged_weights.read(str(path)).sha256}
    taught = dataclasses.replace(config, distillation=0.5)
    for options in ({"warm_start": named}, {"teachers": [named]}):
        folder = tmp_path / next(iter(options)) / "out"
        with caplog.at_level(logging.INFO, "muwnet_fer.training"):
            facts = run(taught, transformed, files, folder, **options)
        assert facts["public_test_contaminated"]
        assert facts["temperature"] == 1
    assert "PublicTest (trained on)" in read_log(caplog)
    assert not run(config, transformed, files, tmp_path / "clean" / "out")[
        "public_test_contaminated"
    ]


def test_training_learns_from_its_teachers(
    config, transformed, files, tmp_path, caplog, monkeypatch
):
    paths = []
    for seed in (1, 2):
        out = tmp_path / f"teacher{seed}" / "out"
        seeded = dataclasses.replace(config, seed=seed)
        run(seeded, transformed, files, out, data_md5=KAGGLE_MD5[0])
        paths.append(str(out / "model"))
    weights = [packaged_weights.read(path) for path in paths]
    teachers = [
        {"name": path, "sha256": read.sha256} for path, read in zip(paths, weights, strict=True)
    ]
    given = {"teachers": teachers, "data_md5": KAGGLE_MD5[1]}  # the same faces in another file
    trained_on = []
    fit = training.fit

    def spy(model, config, train, *arguments):
        trained_on.append(train)
        return fit(model, config, train, *arguments)

    monkeypatch.setattr(training, "fit", spy)
    taught = dataclasses.replace(config, distillation=0.75)
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        facts = run(taught, transformed, files, tmp_path / "taught" / "out", **given)
    assert facts["teachers"] == [{**teacher, "data_md5": KAGGLE_MD5[0]} for teacher in teachers]
    assert "other data" not in read_log(caplog)
    assert f"learns by 75% from {paths[0]}, {paths[1]}" in read_log(caplog)
    assert "teachers_seconds" in facts
    # Killed and started again, it need not ask them again.
    predict = distillation.predict
    monkeypatch.setattr(distillation, "predict", None)
    run(taught, transformed, files, tmp_path / "taught" / "again", **given)
    monkeypatch.setattr(distillation, "predict", predict)
    kept = tmp_path / "taught" / "checkpoint" / "teachers.npz"
    kept.write_bytes(kept.read_bytes()[:-100])
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        run(taught, transformed, files, tmp_path / "taught" / "mended", **given)
    assert f"asks the teachers again: {kept} cannot be read" in read_log(caplog)
    split, again, mended = trained_on
    np.testing.assert_array_equal(split.targets, mended.targets)
    np.testing.assert_array_equal(split.targets, again.targets)
    assert split.size == 40  # the constant ones are out here, too
    views = [split.faces, split.faces[:, :, ::-1]]
    modules = [packaged_weights.load(read) for read in weights]
    predicted = np.mean(
        [module.predict_faces(view)["probabilities"] for module in modules for view in views],
        axis=0,
    )
    expected = 0.25 * np.eye(7)[split.labels] + 0.75 * predicted
    np.testing.assert_allclose(split.targets, expected, atol=1e-6)


def fail_to_export(config, transformed, files, tmp_path) -> pathlib.Path:
    """Trains to the end, then fails; returns the folder of the run."""
    failed = tmp_path / "failed"
    failed.mkdir()
    (failed / "model").write_text("in the way")
    with pytest.raises(tf.errors.OpError):
        run(config, transformed, files, failed)
    return failed


def test_an_edit_between_training_and_export_trains_no_more(
    config, transformed, files, tmp_path, caplog
):
    fail_to_export(config, transformed, files, tmp_path)
    for name in ("out", "again"):
        caplog.clear()
        with caplog.at_level(logging.INFO, "muwnet_fer.training"):
            run(config, transformed, files, tmp_path / name, source="edited")
        assert "all 2 epochs were done before" in read_log(caplog)
        assert "starts anew" not in read_log(caplog)


def test_killed_between_training_and_export_only_the_export_is_done_again(
    config, transformed, files, tmp_path, caplog
):
    failed = fail_to_export(config, transformed, files, tmp_path)
    assert checkpoint.is_resumable(tmp_path / "checkpoint")
    expected = json.loads((failed / "run" / "history.json").read_text())
    caplog.clear()
    with caplog.at_level(logging.INFO, "muwnet_fer.training"):
        # The seconds of each epoch, too, are those of the training that was done.
        assert run(config, transformed, files, tmp_path / "out") == expected
    assert "all 2 epochs were done before" in read_log(caplog)
    assert "epoch 1/2" not in read_log(caplog)
    names = {path.name for path in (tmp_path / "out" / "run").iterdir()}
    assert names == {"history.json", "accuracy.png", "loss.png", "train", "validation"}
    assert not checkpoint.is_resumable(tmp_path / "checkpoint")
    # The best epoch's weights are exported.
    best = checkpoint.read(tmp_path / "checkpoint" / checkpoint.FILE).best_weights
    variables = tf.train.load_checkpoint(str(tmp_path / "out" / "model" / "variables/variables"))
    for position, weight in enumerate(best):
        exported = variables.get_tensor(f"weights/{position}/.ATTRIBUTES/VARIABLE_VALUE")
        np.testing.assert_array_equal(exported, weight)
