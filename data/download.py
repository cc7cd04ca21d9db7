"""Downloads FER2013 by Kaggle's own client, with the user's credentials.

The archive is read as a stream and never unpacked to the paths that it names; the CSV takes its
place only if its MD5 is one of Kaggle's.
"""

import contextlib
import os
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator

from muwnet_fer.data import archive, fer2013, rows
from muwnet_fer.data import source as data_source

COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
PAGE = f"https://www.kaggle.com/competitions/{COMPETITION}"

MANUAL_STEPS = f"""\
1. Sign in to Kaggle and accept the competition's rules:
   {PAGE}/rules
2. Download `fer2013.tar.gz` (or `icml_face_data.csv.zip`) from the competition's data page.
3. Name it, packed as it is, in `FER2013_CSV` or `--data`; or unpack its CSV to
   `data/raw/fer2013.csv`."""

# As the competition lists them; Kaggle zips the second one for the way, its client unzips it.
_FILES = ("fer2013.tar.gz", "icml_face_data.csv")
_LARGEST_CSV = 2**29  # bytes; Kaggle's two are of 0.3 GB
_CHUNK = 2**20


class DownloadError(Exception):
    """FER2013 could not be had; the message says why and how to get it by hand."""

    def __init__(self, reason: str):
        super().__init__(f"{reason}\nBy hand:\n{MANUAL_STEPS}")


def download(target: str | pathlib.Path) -> bool:
    """Downloads FER2013's CSV to `target`; returns False where it lies there already.

    Raises:
      FileExistsError: where another file lies there.
      DownloadError: for everything else; then `target` is as it was, and no other file is left.
    """
    target = pathlib.Path(target)
    if target.exists():
        with contextlib.suppress(rows.MalformedDataError):  # a damaged archive
            if _compute_md5(target) in fer2013.KAGGLE_MD5:
                return False
        raise FileExistsError(
            f"expected {target} to be missing or one of Kaggle's CSVs by its MD5, got another file"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a file can only be renamed inside its file system.
        with tempfile.TemporaryDirectory(prefix=".fer2013-", dir=target.parent) as folder:
            csv = pathlib.Path(folder, "unpacked.csv")
            _unpack(_download_archive(folder), csv)
            if (md5 := _compute_md5(csv)) not in fer2013.KAGGLE_MD5:
                known = ", ".join(fer2013.KAGGLE_MD5)
                raise DownloadError(f"expected a CSV with the MD5 {known} from Kaggle, got {md5}")
            os.replace(csv, target)
    except OSError as error:
        raise DownloadError(f"{target}: expected to write there, got {error}") from error
    return True


def _download_archive(folder: str) -> pathlib.Path:
    """Downloads the first of _FILES that Kaggle has into `folder`."""
    with _quiet():
        import kagglehub
        import requests
        from kagglehub import exceptions

        for name in _FILES:
            try:
                path = kagglehub.competition_download(COMPETITION, name, output_dir=folder)
                return pathlib.Path(path)
            except exceptions.KaggleApiHTTPError as error:
                status = error.response.status_code
                if status != requests.codes.not_found:
                    raise DownloadError(_explain(status)) from error
            except requests.ConnectionError as error:
                raise DownloadError(
                    f"expected to reach Kaggle, got no connection: {error}"
                ) from error
            except (
                requests.RequestException,
                exceptions.DataCorruptionError,
                zipfile.BadZipFile,
            ) as error:
                raise DownloadError(f"expected {name} from Kaggle, got {error}") from error
            except (exceptions.UnauthenticatedError, ValueError) as error:
                raise DownloadError(
                    "expected Kaggle credentials (a token in KAGGLE_API_TOKEN or "
                    f"~/.kaggle/access_token, or ~/.kaggle/kaggle.json), got none: {error}"
                ) from error
    raise DownloadError(f"expected {' or '.join(_FILES)} at {PAGE}/data, got neither")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what the client says; its progress bar stays where a person may look at it."""
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        with contextlib.redirect_stderr(sys.stderr if sys.stderr.isatty() else null):
            yield


def _explain(status: int) -> str:
    if status == 401:
        return "expected credentials that Kaggle knows, got 401: make a new token in its settings"
    if status == 403:
        return f"expected the competition's rules to be accepted, got 403: see {PAGE}/rules"
    return f"expected Kaggle to answer, got HTTP status {status}"


def _unpack(packed: pathlib.Path, csv: pathlib.Path) -> None:
    try:
        with archive.open_csv(packed) as source, open(csv, "wb") as sink:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                if sink.tell() > _LARGEST_CSV:
                    raise DownloadError(
                        f"{packed.name}: expected a CSV of at most {_LARGEST_CSV} bytes, got more"
                    )
    except rows.MalformedDataError as error:
        raise DownloadError(str(error)) from error


def _compute_md5(csv: pathlib.Path) -> str:
    return data_source.compute_md5(data_source.Source((csv,)))
