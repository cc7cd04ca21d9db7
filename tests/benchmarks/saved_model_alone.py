"""Times calls of a SavedModel in its own process, for serving.py: a line of seconds in, one of JSON
milliseconds out.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the server does
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from muwnet_fer.components.atomic_pusher import versions  # noqa: E402
from muwnet_fer.tests.benchmarks import timing  # noqa: E402


def main() -> None:
    model = tf.saved_model.load(str(versions.find_newest(pathlib.Path(sys.argv[1]))))
    predict_faces = model.signatures["predict_faces"]
    face = np.random.default_rng(1).integers(0, 256, (1, 48, 48), np.uint8)

    def call() -> np.ndarray:
        return predict_faces(image=tf.constant(face))["probabilities"].numpy()

    timing.answer("SavedModel, predict_faces", {"predict_faces": call})


if __name__ == "__main__":
    main()
