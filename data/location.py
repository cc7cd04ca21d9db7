"""Where the data is that an argument, the environment or the default names."""

import os
import pathlib
from collections.abc import Sequence

from muwnet_fer.data import source as data_source

CSV_VARIABLE = "FER2013_CSV"
DEFAULT_CSV = pathlib.Path("data/raw/fer2013.csv")


class LocationError(ValueError):
    """No data at a path; the message says who named it and what was expected there."""


def find_source(data: Sequence[str], private_fraction: float | None) -> data_source.Source | None:
    """Returns what the arguments, the environment or the default path name, None for the sample.

    Raises:
      LocationError: for a path that is not there, or cannot be what it should.
    """
    named, by = list(data), "--data"
    if not named and os.environ.get(CSV_VARIABLE):
        named, by = [os.environ[CSV_VARIABLE]], CSV_VARIABLE
    if not named and not DEFAULT_CSV.is_file():
        if private_fraction is not None:
            raise LocationError("expected --private-fraction with a folder of images in --data")
        return None
    if "" in named:
        raise LocationError(f"expected {by} to name a file or folder, got ''")
    paths = [pathlib.Path(os.path.expanduser(path)).absolute() for path in named or [DEFAULT_CSV]]
    try:
        return data_source.find(paths, private_fraction)
    except ValueError as error:
        raise LocationError(f"{by}: {error}") from error
    except OSError as error:
        raise LocationError(f"cannot read {error.filename}: {error.strerror}") from error
