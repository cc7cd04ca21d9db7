"""The one unusual line: the repository's root is the package `muwnet_fer` (package_dir)."""

import setuptools

FOLDERS = (
    "components",
    "components.anomaly_gate",
    "components.atomic_pusher",
    "components.fer2013_example_gen",
    "components.predictor",
    "components.report",
    "components.report.pages",
    "components.curated_schema_gen",
    "data",
    "models",
    "models.muwnet",
    "pipeline",
    "serving",
    "serving.commands",
    "serving.server",
)

setuptools.setup(
    package_dir={"muwnet_fer": "."},
    packages=["muwnet_fer", *(f"muwnet_fer.{folder}" for folder in FOLDERS)],
    package_data={
        "muwnet_fer": ["py.typed"],
        "muwnet_fer.components.report": ["templates/*"],
        "muwnet_fer.data": ["schema.pbtxt"],
        "muwnet_fer.serving": ["apis.binpb"],
        "muwnet_fer.serving.server": ["page/*"],
        "muwnet_fer.models.muwnet": ["weights/*.json", "weights/*.npz"],
    },
)
