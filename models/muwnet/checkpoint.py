"""Checkpoints of a training under way."""

import json
import pathlib

import numpy as np

_FILE_NAME = "checkpoint.npz"


def is_resumable(checkpoint_dir: pathlib.Path) -> bool:
    """Returns whether a run could go on from here: False only where the training is complete."""
    try:
        with np.load(checkpoint_dir / _FILE_NAME, allow_pickle=False) as archive:
            return not json.loads(archive["state"].item())["complete"]
    except Exception:  # whatever cannot be read may be half written: nothing to throw away
        return True
