"""run_fn: what TFX's Trainer calls. Read, build, fit, export."""

import json
import logging
import pathlib
import shutil

import keras
import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from muwnet_fer.models.muwnet import (
    checkpoint,
    examples,
    export,
    history_plots,
    manifest,
    model,
    training,
)
from muwnet_fer.models.muwnet import (
    config as muwnet_config,
)

_LOGGER = logging.getLogger("muwnet_fer.training")


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains a MuWNet and writes its SavedModel, history and plots.

    Args:
      fn_args: with `custom_config` of `muwnet` (MuWNetConfig as a dict), `checkpoint_dir` (where
        this training is kept until it is done, for the next process to go on with) and `lineage`
        (what the manifest says of data and profile).
    """
    config = muwnet_config.from_dict(fn_args.custom_config["muwnet"])
    checkpoint_dir = pathlib.Path(fn_args.custom_config["checkpoint_dir"])
    lineage = fn_args.custom_config["lineage"]
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
    if left_out:
        _LOGGER.info("    %d images of one grey level are left out of the training", left_out)
    if config.train_on_public_test:
        _LOGGER.info("    PublicTest is trained on: its accuracy says nothing about new faces")
    trained = training.fit(
        muwnet, config, train, public_test, checkpoint_dir, lineage["source_fingerprint"]
    )

    history = trained.history
    facts = manifest.describe(config, muwnet, history, lineage, left_out, trained.resumed_after)
    run_dir = pathlib.Path(fn_args.model_run_dir)
    shutil.copytree(checkpoint_dir / training.TENSORBOARD, run_dir, dirs_exist_ok=True)
    (run_dir / "history.json").write_text(json.dumps({**facts, "history": history}, indent=1))
    history_plots.write(history, run_dir, config.validation_name)
    export.save(muwnet, transform_output, facts, fn_args.serving_model_dir)
    trained.exported = True
    checkpoint.write(checkpoint_dir / checkpoint.FILE, trained)
