"""Times the `fer` package's own calls, for serving.py, in an environment that has `fer`."""

import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # its HDF5 model is Keras 2's

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import fer  # noqa: E402
import numpy as np  # noqa: E402
import timing  # noqa: E402
from fer.fer import FER  # noqa: E402


def main() -> None:
    face = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
    box = [(0, 0, 48, 48)]  # given, so that no time goes into finding it
    calls = {}
    for name, use_tflite in (("TFLite", True), ("Keras", False)):
        detector = FER(use_tflite=use_tflite)
        calls[name] = lambda detector=detector: detector.detect_emotions(face, box)
    timing.answer(f"fer {fer.__version__}", calls)


if __name__ == "__main__":
    main()
