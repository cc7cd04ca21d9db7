"""Versions: folders named by a number, each there whole or not at all. Servers take the newest."""

import filecmp
import pathlib
import shutil

# On the versions' own file system, so that a rename is one step; no number, so that no server
# takes what is in it for a version.
_TEMPORARY = ".temporary"


def list_versions(serving_model_dir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the versions, oldest first."""
    if not serving_model_dir.is_dir():
        return []
    versions = [path for path in serving_model_dir.iterdir() if path.name.isdecimal()]
    return sorted(versions, key=lambda path: int(path.name))


def find_newest(serving_model_dir: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of the newest version, None where there is none."""
    return next(reversed(list_versions(serving_model_dir)), None)


def is_newest(model_dir: pathlib.Path, serving_model_dir: pathlib.Path) -> bool:
    """Returns whether the newest version holds every file of a SavedModel, byte by byte."""
    newest = find_newest(serving_model_dir)
    if newest is None:
        return False
    files = [str(p.relative_to(model_dir)) for p in model_dir.rglob("*") if p.is_file()]
    same, _, _ = filecmp.cmpfiles(model_dir, newest, files, shallow=False)
    return len(same) == len(files)


def temporary_dir(serving_model_dir: pathlib.Path) -> pathlib.Path:
    """Returns the folder, there or not, in which versions come about and end."""
    return serving_model_dir / _TEMPORARY


def clear_temporary(serving_model_dir: pathlib.Path) -> None:
    """Deletes what this push, or an earlier one that was killed, left in the temporary folder."""
    temporary = temporary_dir(serving_model_dir)
    if temporary.exists():
        shutil.rmtree(temporary)


def publish(complete: pathlib.Path, serving_model_dir: pathlib.Path) -> pathlib.Path:
    """Moves a complete model into place, in one step; returns the version.

    Args:
      complete: within the temporary folder, named by the wanted number. A number that is not
        above all there, after a push in the same second or with the clock set back, gives way to
        the next one that is: no server would load the model otherwise.
      serving_model_dir: where the versions are.
    """
    newest = max((int(path.name) for path in list_versions(serving_model_dir)), default=0)
    version = serving_model_dir / str(max(int(complete.name), newest + 1))
    return complete.rename(version)


def withdraw(version: pathlib.Path) -> None:
    """Deletes a version: in one step for a server, then file by file."""
    temporary = temporary_dir(version.parent)
    temporary.mkdir(exist_ok=True)
    version.rename(temporary / version.name)
    clear_temporary(version.parent)
