"""Plots of the data by split."""

from typing import Any

import markupsafe
import numpy as np

from muwnet_fer.components.report import svg
from muwnet_fer.data import fer2013

_UNITS = "grey levels"


def draw_classes(counts: dict[str, list[int]]) -> markupsafe.Markup:
    """Draws each emotion's share of each split."""
    width = 0.8 / len(counts)
    places = np.arange(len(fer2013.EMOTIONS))
    with svg.style():
        figure = svg.make_figure()
        axes = figure.subplots()
        axes.grid(axis="y")
        for number, (split, of_split) in enumerate(counts.items()):
            shares = 100 * np.array(of_split) / max(1, sum(of_split))
            offset = (number - (len(counts) - 1) / 2) * width
            axes.bar(places + offset, shares, width, color=svg.SERIES[number], label=split)
        axes.set_xticks(places, fer2013.EMOTIONS)
        axes.set(ylabel="% of the split")
        figure.legend(loc="outside upper center", ncols=3)
    listed = "; ".join(
        f"{split}: "
        + ", ".join(f"{e} {c}" for e, c in zip(fer2013.EMOTIONS, of_split, strict=True))
        for split, of_split in counts.items()
    )
    return svg.render(figure, f"Shares of the emotions by split; rows: {listed}")


def draw_histogram(statistic: str, by_split: dict[str, dict[str, Any]]) -> markupsafe.Markup:
    """Draws the distribution of an image statistic in each split, as a density."""
    with svg.style():
        figure = svg.make_figure(height=2.8)
        axes = figure.subplots()
        axes.grid()
        for number, (split, of) in enumerate(by_split.items()):
            widths = np.diff(of["edges"])
            density = np.divide(of["shares"], widths, out=np.zeros(len(widths)), where=widths > 0)
            axes.stairs(density, of["edges"], color=svg.SERIES[number], label=split, linewidth=1.5)
        axes.set(xlabel=f"{statistic}, {_UNITS}", ylabel="density", ylim=(0, None))
        figure.legend(loc="outside upper center", ncols=3)
    means = ", ".join(f"{split} {of['mean']:.1f}" for split, of in by_split.items())
    return svg.render(figure, f"Histogram of {statistic} by split; means: {means}")
