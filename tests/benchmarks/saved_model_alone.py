"""Times calls of a SavedModel in its own process, for serving.py: a line of seconds in, one of JSON
milliseconds out.

    python tests/benchmarks/saved_model_alone.py VERSIONS [NAME]

With a name, on one core.
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
    path, *name = sys.argv[1:]
    if name:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(str(versions.find_newest(pathlib.Path(path))))
    predict_faces = model.signatures["predict_faces"]
    face = np.random.default_rng(1).integers(0, 256, (1, 48, 48), np.uint8)

    def call() -> np.ndarray:
        return predict_faces(image=tf.constant(face))["probabilities"].numpy()

    timing.answer(name[0] if name else "SavedModel", {"predict_faces": call})


if __name__ == "__main__":
    main()
