"""Bad rows set aside, where `--max-bad-rows` allows it: one JSON object a line."""

import json
import pathlib

from muwnet_fer.data import atomic_file, rows

FILE_NAME = "quarantine.jsonl"


def write(faults: list[rows.Fault], folder: pathlib.Path) -> None:
    """Writes file, row, fault and raw text of each; an undecodable byte 0xNN stands as \\udcNN."""
    with (
        atomic_file.replace(folder / FILE_NAME) as unfinished,
        open(unfinished, "w", encoding="ascii") as file,
    ):
        for fault in faults:
            entry = {"file": str(fault.file), "row": fault.row, "fault": fault.fault}
            file.write(json.dumps({**entry, "raw": fault.raw}) + "\n")
