"""What a server takes from `serving_model/`: the newest version."""

import filecmp
import pathlib

from muwnet_fer.components.atomic_pusher import versions


def find_newest(serving_model_dir: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of the newest version, None where there is none."""
    return next(reversed(versions.list_versions(serving_model_dir)), None)


def is_newest(model_dir: pathlib.Path, serving_model_dir: pathlib.Path) -> bool:
    """Returns whether the newest version holds every file of a SavedModel, byte by byte."""
    newest = find_newest(serving_model_dir)
    if newest is None:
        return False
    files = [str(p.relative_to(model_dir)) for p in model_dir.rglob("*") if p.is_file()]
    same, _, _ = filecmp.cmpfiles(model_dir, newest, files, shallow=False)
    return len(same) == len(files)
