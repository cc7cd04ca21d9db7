"""run_fn: what TFX's Trainer calls. Read, build, fit, export."""

import json
import logging
import pathlib

import keras
import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from muwnet_fer.models.muwnet import (
    config as muwnet_config,
)
from muwnet_fer.models.muwnet import (
    examples,
    export,
    history_plots,
    manifest,
    model,
    training,
)

_LOGGER = logging.getLogger("muwnet_fer.training")


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains a MuWNet and writes its SavedModel, history and plots.

    Args:
      fn_args: with `custom_config` of `muwnet` (MuWNetConfig as a dict) and `lineage` (what
        the manifest says of data and profile).
    """
    config = muwnet_config.from_dict(fn_args.custom_config["muwnet"])
    keras.utils.set_random_seed(config.seed)
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    feature_spec = transform_output.transformed_feature_spec()
    train = examples.load_split(fn_args.train_files, feature_spec)
    public_test = examples.load_split(fn_args.eval_files, feature_spec)

    muwnet = model.build_muwnet(config)
    _LOGGER.info(
        "    MuWNet: %s parameters, %dx%d input, %d train and %d public_test faces",
        f"{muwnet.count_params():,}",
        config.input_size,
        config.input_size,
        train.size,
        public_test.size,
    )
    if config.train_on_public_test:
        _LOGGER.info("    PublicTest is trained on: its accuracy says nothing about new faces")
    history = training.fit(muwnet, config, train, public_test, fn_args.model_run_dir)

    facts = manifest.describe(config, muwnet, history, fn_args.custom_config["lineage"])
    run_dir = pathlib.Path(fn_args.model_run_dir)
    (run_dir / "history.json").write_text(json.dumps({**facts, "history": history}, indent=1))
    history_plots.write(history, run_dir, config.validation_name)
    export.save(muwnet, transform_output, facts, fn_args.serving_model_dir)
