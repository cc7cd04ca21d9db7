"""Small CSVs in FER2013's format, as text."""

import pathlib

from muwnet_fer.data import fer2013

PIXELS = " ".join(["7"] * fer2013.PIXELS)
HEADER = "emotion,pixels,Usage"
GOOD_ROWS = [f"0,{PIXELS},Training", f"3,{PIXELS},PublicTest", f"6,{PIXELS},PrivateTest"]


def write(path: pathlib.Path, rows: list[str], header: str = HEADER) -> pathlib.Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
