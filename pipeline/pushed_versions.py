"""The versions under `serving_model/`: folders named by a number; a server takes the newest."""

import filecmp
import pathlib


def find_newest(serving_model_dir: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of the newest version, None where there is none."""
    if not serving_model_dir.is_dir():
        return None
    versions = [path for path in serving_model_dir.iterdir() if path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=None)


def is_newest(model_dir: pathlib.Path, serving_model_dir: pathlib.Path) -> bool:
    """Returns whether the newest version holds every file of a SavedModel, byte by byte."""
    newest = find_newest(serving_model_dir)
    if newest is None:
        return False
    files = [str(p.relative_to(model_dir)) for p in model_dir.rglob("*") if p.is_file()]
    same, _, _ = filecmp.cmpfiles(model_dir, newest, files, shallow=False)
    return len(same) == len(files)
