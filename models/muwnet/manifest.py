"""The facts that a model carries about itself: `assets.extra/muwnet.json` of its SavedModel."""

import dataclasses
import os
import pathlib
import platform
import re
import subprocess
from typing import Any

import keras
import tensorflow as tf

from muwnet_fer.models.muwnet import config as muwnet_config


def describe(
    config: muwnet_config.MuWNetConfig,
    model: keras.Model,
    history: dict[str, list[float]],
    lineage: dict[str, Any],
    constant_images_left_out: int,
    resumed_after: list[int],
    public_test_accuracy: float,
    temperature: float,
) -> dict[str, Any]:
    """Returns what a model was made from and how it did on PublicTest, ready for JSON.

    Args:
      lineage: what it came from: profile, data, code, other weights.
      constant_images_left_out: of what was trained on.
      resumed_after: epochs after which a process went on with the training of another.
      public_test_accuracy: of the network as it is exported.
      temperature: that divides the logits.
    """
    accuracies = history["val_accuracy"]
    best = max(range(config.first_judged_epoch, len(accuracies)), key=accuracies.__getitem__)
    return {
        **lineage,
        "parameters": model.count_params(),
        "seed": config.seed,
        "epochs": config.epochs,
        "best_epoch": best + 1,
        "public_test_accuracy": public_test_accuracy,
        "constant_images_left_out": constant_images_left_out,
        "resumed_after": resumed_after,
        "training_seconds": round(sum(history["seconds"])),
        # Of all threads. A history that an older version began has none of its epochs.
        "training_cpu_seconds": round(sum(history.get("cpu_seconds", ()))),
        "hardware": describe_hardware(),
        "temperature": temperature,
        "muwnet": dataclasses.asdict(config),
    }


def describe_hardware() -> str:
    """Returns the processor's name and the cores and accelerators that TensorFlow may use."""
    # Linux: Python's own platform.processor() knows no more than the architecture there.
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    names = (
        re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.M) if cpuinfo.exists() else ()
    )
    processor = names[0] if names else platform.processor() or platform.machine()
    accelerators = len(tf.config.list_physical_devices()) - 1
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, {accelerators or 'no'} accelerators"


def read_commit() -> str | None:
    """Returns the checkout's commit, "-dirty" behind it where files differ; None outside git."""
    root = pathlib.Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
