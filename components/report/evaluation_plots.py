"""Plots of a model's figures."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import svg


def draw_classes(classes: list[dict[str, Any]]) -> markupsafe.Markup:
    """Draws each emotion's F1 with its interval, its floor and the blessed model's."""
    places = range(len(classes))
    f1 = [of["f1"]["value"] for of in classes]
    errors = [
        [of["f1"]["value"] - of["f1"]["low"] for of in classes],
        [of["f1"]["high"] - of["f1"]["value"] for of in classes],
    ]
    with svg.style():
        figure = svg.make_figure(height=3.4)
        axes = figure.subplots()
        axes.grid(axis="x")
        axes.errorbar(f1, places, xerr=errors, fmt="o", color=svg.SERIES[0], label="F1, 95 %")
        for key, marker, color, label in (
            ("floor", "|", svg.WARNING, "floor"),
            ("blessed", "D", svg.SERIES[2], "blessed model"),
        ):
            known = [(of[key], place) for place, of in enumerate(classes) if of[key] is not None]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    marker,
                    markersize=14 if marker == "|" else 5,
                    markeredgewidth=2 if marker == "|" else 0,
                    color=color,
                    label=label,
                )
        axes.set(xlim=(0, 1), xlabel="F1 on private_test")
        axes.set_yticks(places, [of["emotion"] for of in classes])
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=3)
    values = ", ".join(f"{of['emotion']} {of['f1']['value']:.2f}" for of in classes)
    return svg.render(figure, f"F1 of each emotion with its interval: {values}")


def draw_reliability(bins: list[dict[str, float]], error: float) -> markupsafe.Markup:
    """Draws the share of right answers over the model's confidence, and how many faces each has."""
    with svg.style():
        figure = svg.make_figure(height=4.4)
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.grid()
        axes.plot([0, 1], [0, 1], "--", color=svg.FOREGROUND, linewidth=1, label="as sure as right")
        axes.plot(
            [of["confidence"] for of in bins],
            [of["accuracy"] for of in bins],
            "o-",
            color=svg.SERIES[0],
            label="this model",
        )
        axes.set(ylabel="share that is right", ylim=(0, 1), xlim=(0, 1))
        axes.legend()
        counts.bar(
            [(of["low"] + of["high"]) / 2 for of in bins],
            [of["faces"] for of in bins],
            width=bins[0]["high"] - bins[0]["low"],
            color=svg.SERIES[0],
            edgecolor=svg.GRID,
        )
        counts.set(xlabel="probability of the emotion predicted", ylabel="faces")
    return svg.render(
        figure, f"Reliability diagram of {len(bins)} bins; expected calibration error {error:.3f}"
    )
