"""run_fn: what TFX's Trainer calls. Read, build, fit, export."""

import functools
import json
import logging
import pathlib
import shutil
import time
import zipfile
from typing import Any

import keras
import numpy as np
import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from muwnet_fer.data import atomic_file
from muwnet_fer.models.muwnet import (
    calibration,
    checkpoint,
    distillation,
    examples,
    export,
    history_plots,
    manifest,
    model,
    packaged_weights,
    precise_batch_norm,
    preprocessing,
    training,
)
from muwnet_fer.models.muwnet import (
    config as muwnet_config,
)

_PREDICTED = "teachers.npz"  # beside the checkpoint

_LOGGER = logging.getLogger("muwnet_fer.training")


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains a MuWNet and writes its SavedModel, history and plots.

    Args:
      fn_args: with `custom_config` of `muwnet` (MuWNetConfig as a dict), `checkpoint_dir` (where
        this training is kept until it is done, for the next process to go on with), `warm_start`
        (`name` of the weights to start from and their `sha256`, or None), `teachers` (the same of
        those to learn from) and `lineage` (what the manifest says of data and profile).
    """
    config = muwnet_config.from_dict(fn_args.custom_config["muwnet"])
    checkpoint_dir = pathlib.Path(fn_args.custom_config["checkpoint_dir"])
    warm_start = fn_args.custom_config["warm_start"]
    teachers = fn_args.custom_config["teachers"]
    found = {of["sha256"]: _read_weights(**of) for of in (warm_start, *teachers) if of}
    contaminated = config.train_on_public_test or packaged_weights.have_seen_public_test(
        found.values()
    )
    commit = manifest.read_commit()  # now: another one may follow before the training ends
    lineage = {
        **fn_args.custom_config["lineage"],
        "warm_start": warm_start and _describe(warm_start, found),
        "teachers": [_describe(teacher, found) for teacher in teachers],
        "public_test_contaminated": contaminated,
    }
    _warn_of_other_data(lineage)
    keras.utils.set_random_seed(config.seed)
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    feature_spec = transform_output.transformed_feature_spec()
    train = examples.load_split(fn_args.train_files, feature_spec)
    public_test = examples.load_split(fn_args.eval_files, feature_spec)
    left_out = train.size
    if config.leave_out_constant_images:
        train = examples.leave_out_constant(train)
    left_out -= train.size

    muwnet = model.build_muwnet(config)
    _LOGGER.info(
        "    MuWNet: %s parameters, %dx%d input, %d train and %d public_test faces",
        f"{muwnet.count_params():,}",
        config.input_size,
        config.input_size,
        train.size,
        public_test.size,
    )
    if warm_start:
        packaged_weights.assign(muwnet, found[warm_start["sha256"]])
    if left_out:
        _LOGGER.info("    %d images of one grey level are left out of the training", left_out)
    if teachers:
        names = ", ".join(teacher["name"] for teacher in teachers)
        _LOGGER.info("    learns by %.0f%% from %s", 100 * config.distillation, names)
        predicted, teachers_seconds = _predict_once(
            checkpoint_dir / _PREDICTED,
            train,
            [found[teacher["sha256"]] for teacher in teachers],
            lineage["source_fingerprint"],
        )
        train = distillation.blend(train, predicted, config.distillation)
        lineage["teachers_seconds"] = round(teachers_seconds)
    if contaminated:
        _LOGGER.info("    PublicTest is trained on: its accuracy says nothing about new faces")
    validation_name = muwnet_config.name_validation(contaminated)
    trained = training.fit(
        muwnet,
        config,
        train,
        public_test,
        checkpoint_dir,
        lineage["source_fingerprint"],
        commit,
        validation_name,
    )
    lineage["commit"] = trained.commit

    history = trained.history
    if config.precise_batch_norm:
        precise_batch_norm.measure(muwnet, train.faces, config.batch_size)
    logits = model.get_logits(muwnet).predict(
        public_test.faces, batch_size=config.batch_size, verbose=0
    )
    labels = public_test.labels.numpy()
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    temperature = 1.0  # of faces that were trained on the network is surer than of others
    if not contaminated:
        temperature = calibration.fit_temperature(logits, labels)
    _LOGGER.info("    %s %.1f%%, temperature %.3f", validation_name, 100 * accuracy, temperature)
    facts = manifest.describe(
        config, muwnet, history, lineage, left_out, trained.resumed_after, accuracy, temperature
    )
    run_dir = pathlib.Path(fn_args.model_run_dir)
    shutil.copytree(checkpoint_dir / training.TENSORBOARD, run_dir, dirs_exist_ok=True)
    (run_dir / "history.json").write_text(json.dumps({**facts, "history": history}, indent=1))
    history_plots.write(history, run_dir, validation_name)
    # TFT's layer is a Keras 2 object: it may stand beside a Keras 3 model, not within it.
    transform = transform_output.transform_features_layer()
    decode = functools.partial(preprocessing.decode_through, transform)
    module = export.ServingModule(muwnet, decode, temperature, tracked=transform)
    export.save(module, facts, fn_args.serving_model_dir)
    trained.exported, trained.source_fingerprint = True, lineage["source_fingerprint"]
    checkpoint.write(checkpoint_dir / checkpoint.FILE, trained)


def _predict_once(
    path: pathlib.Path,
    train: examples.Split,
    teachers: list[packaged_weights.Weights],
    source_fingerprint: str,
) -> tuple[np.ndarray, float]:
    """Returns what the teachers predict and the seconds that it took.

    It is kept with the checkpoint, for they are many.
    """
    made_from = f"{source_fingerprint} {examples.digest(train)}"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["made_from"]) == made_from:
                    return file["predicted"], float(file["seconds"])
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _LOGGER.info("    asks the teachers again: %s cannot be read (%s)", path, error)
    started = time.monotonic()
    predicted = distillation.predict(train, [packaged_weights.load(of) for of in teachers])
    seconds = time.monotonic() - started
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file.replace(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, predicted=predicted, seconds=seconds, made_from=np.array(made_from))
    return predicted, seconds


def _describe(named: dict[str, str], found: dict[str, packaged_weights.Weights]) -> dict[str, str]:
    """Returns weights' name and digest, and the MD5 of the data that they learnt from."""
    return {**named, "data_md5": found[named["sha256"]].manifest.get("data_md5")}


def _warn_of_other_data(lineage: dict[str, Any]) -> None:
    for of in packaged_weights.find_other_data(lineage):
        _LOGGER.info(
            "    %s learnt from other data (MD5 %s): faces that are evaluated here may be among it",
            of["name"],
            of["data_md5"],
        )


def _read_weights(name: str, sha256: str) -> packaged_weights.Weights:
    found = packaged_weights.read(name)
    if found.sha256 != sha256:
        raise packaged_weights.WeightsError(
            f"expected {name} as it was when the run began, got others"
        )
    return found
