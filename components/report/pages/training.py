"""Training: its curves (the paper's figures 4 to 7), learning rate, speed and resumes."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.components.report import training_plots
from muwnet_fer.data import fer2013

TITLE = "Training"
_CURVES = ("accuracy", "loss")


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns a training's facts and its epochs; `epochs` is None where there was none.

    Of one that did not end there are the epochs alone: `best_epoch` is None.
    """
    manifest, history = sources.manifest, sources.history
    if manifest is not None and history is not None:
        return _describe(manifest) | _describe_epochs(
            history,
            manifest["resumed_after"],
            manifest["public_test_contaminated"],
            manifest["muwnet"],
        )
    if sources.run is not None and sources.run.unfinished_training is not None:
        return _describe_epochs(**sources.run.unfinished_training) | {"best_epoch": None}
    return {"epochs": None}


def _describe_epochs(
    history: dict[str, list[float]],
    resumed_after: list[int],
    contaminated: bool,
    muwnet: dict[str, Any],
) -> dict[str, Any]:
    epochs = len(history["loss"])
    # A training that an older version began may lack a series in its first epochs.
    whole = {name: values for name, values in history.items() if len(values) == epochs}
    return {
        "epochs": [
            {name: values[epoch] for name, values in whole.items()} | {"epoch": epoch + 1}
            for epoch in range(epochs)
        ],
        "planned": sum(phase["epochs"] for phase in muwnet["phases"]),
        "contaminated": contaminated,
        "resumed_after": resumed_after,
        "drops": _find_drops(history["learning_rate"]),
        "sizes": _list_sizes(muwnet),
        "settings": _list_settings(muwnet),
    }


def _describe(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns what is known of a training that ended."""
    faces = manifest["rows"][fer2013.TRAIN] - manifest["constant_images_left_out"]
    if manifest["muwnet"]["train_on_public_test"]:
        faces += manifest["rows"][fer2013.PUBLIC_TEST]
    seconds = manifest["training_seconds"]
    return {
        "best_epoch": manifest["best_epoch"],
        "public_test_accuracy": manifest["public_test_accuracy"],
        "seconds": seconds,
        "images_per_second": manifest["epochs"] * faces / seconds if seconds else None,
        "temperature": manifest["temperature"],
        "teachers": manifest["teachers"],
        "warm_start": manifest["warm_start"],
    }


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the curves by name."""
    if facts["epochs"] is None:
        return {}
    plots = {name: training_plots.draw_curve(facts, name) for name in _CURVES}
    plots["learning_rate"] = training_plots.draw_learning_rate(facts)
    return plots


def _list_settings(muwnet: dict[str, Any]) -> dict[str, Any]:
    """Returns the configuration by name, its phases and augmentation in words."""
    listed = {name: value for name, value in muwnet.items() if name != "stages"}
    for name, parts in (("phases", muwnet["phases"]), ("augmentation", [muwnet["augmentation"]])):
        listed[name] = "; ".join(_join_pairs(part) for part in parts)
    return listed


def _join_pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _list_sizes(muwnet: dict[str, Any]) -> list[dict[str, int]]:
    """Returns the sides, in pixels, of the faces trained on, and the epoch that each began with."""
    sizes, epoch = [], 1
    for phase in muwnet["phases"]:
        size = phase.get("input_size") or muwnet["input_size"]
        if not sizes or sizes[-1]["size"] != size:
            sizes.append({"size": size, "from_epoch": epoch})
        epoch += phase["epochs"]
    return sizes


def _find_drops(rates: list[float]) -> list[int]:
    """Returns the epochs that began at a lower learning rate after epochs of the same one: steps of
    a schedule, not a cosine's way down.
    """
    return [
        epoch + 1
        for epoch in range(2, len(rates))
        if rates[epoch] < rates[epoch - 1] == rates[epoch - 2]
    ]
