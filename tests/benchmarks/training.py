"""Parameters, MACs, images/s and GFLOP/s of each profile's training, beside the SGEMM peak.

    make bench-train

All in one process: read the share of the peak, the machine is noisy. Augmentation, input pipeline
and optimizer are part of the time; the arithmetic that counts is the network's alone, three times
the forward pass (its own, and the gradients by inputs and by weights).
"""

import argparse
import dataclasses
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tabulate  # noqa: E402
import tensorflow as tf  # noqa: E402

from muwnet_fer.data import fer2013  # noqa: E402
from muwnet_fer.models.muwnet import config as muwnet_config  # noqa: E402
from muwnet_fer.models.muwnet import examples, model, training  # noqa: E402
from muwnet_fer.pipeline import profiles  # noqa: E402

FACES = 8192
FEW_FACES = 256  # for the profiles that are meant for a GPU
SGEMM_SIDE, SGEMM_SECONDS = 2048, 5


def draw_split(size: int) -> examples.Split:
    """Returns random pixels: speed does not depend on what they show."""
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (size, fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), np.uint8)
    return examples.Split(tf.constant(faces), tf.constant(np.arange(size) % len(fer2013.EMOTIONS)))


def measure_training(split: examples.Split, config: muwnet_config.MuWNetConfig) -> float:
    """Returns images/s of the second of two epochs, augmentation included."""
    config = dataclasses.replace(config, phases=(muwnet_config.Phase(2),))
    validation = examples.Split(split.faces[: config.batch_size], split.labels[: config.batch_size])
    with tempfile.TemporaryDirectory() as folder:
        network = model.build_muwnet(config)
        trained = training.fit(network, config, split, validation, pathlib.Path(folder), "")
    return split.size / trained.history["seconds"][-1]


def measure_sgemm() -> float:
    """Returns the highest GFLOP/s of a multiplication of two large float32 matrices."""
    a, b = (tf.random.normal((SGEMM_SIDE, SGEMM_SIDE)) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + SGEMM_SECONDS
    while time.perf_counter() < end:
        started = time.perf_counter()
        tf.matmul(a, b).numpy()
        best = min(best, time.perf_counter() - started)
    return 2 * SGEMM_SIDE**3 / best / 1e9


def count_macs(network: keras.Model) -> int:
    """Returns half the operations of one face's forward pass, by TensorFlow's profiler.

    Of these all but a hundredth or two at most are multiply-accumulates.
    """
    face = tf.TensorSpec((1, fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), tf.uint8)
    function = tf.function(lambda image: network(image, training=False))
    graph = function.get_concrete_function(face).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", nargs="*", default=list(profiles.PROFILES))
    peak = measure_sgemm()
    table = []
    for name in parser.parse_args().profile:
        config = profiles.PROFILES[name].muwnet
        network = model.build_muwnet(config)
        rate = measure_training(draw_split(FEW_FACES if config.input_size > 48 else FACES), config)
        macs = count_macs(network)
        gflops = 3 * 2 * macs * rate / 1e9
        table.append([name, network.count_params(), macs / 1e6, rate, gflops])
    peak = max(peak, measure_sgemm())
    for row in table:
        row.append(row[-1] / peak)
    headers = ["profile", "parameters", "MMAC", "images/s", "GFLOP/s"]
    headers.append(f"share of SGEMM's {peak:.0f} GFLOP/s")
    formats = ("", ",", ".1f", ",.0f", ".0f", ".0%")
    print(tabulate.tabulate(table, headers, "github", floatfmt=formats, intfmt=","))


if __name__ == "__main__":
    main()
