"""Plots of two models' differences, and of a lineage's runs."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import run_facts, svg


def draw_changes(f1: dict[str, dict[str, Any]]) -> markupsafe.Markup:
    """Draws the change of each emotion's F1 with its interval (the paper's figure 8)."""
    places = range(len(f1))
    changes = [of["change"] for of in f1.values()]
    with svg.style():
        figure = svg.make_figure(height=3.2)
        axes = figure.subplots()
        axes.grid(axis="x")
        axes.axvline(0, color=svg.FOREGROUND, linewidth=1)
        for moved, color, label in (
            (True, svg.WARNING, "moved"),
            (False, svg.SERIES[0], "within chance"),
        ):
            chosen = [place for place, of in enumerate(f1.values()) if of["moved"] is moved]
            if chosen:
                axes.errorbar(
                    [changes[place]["value"] for place in chosen],
                    chosen,
                    xerr=[
                        [changes[place]["value"] - changes[place]["low"] for place in chosen],
                        [changes[place]["high"] - changes[place]["value"] for place in chosen],
                    ],
                    fmt="o",
                    color=color,
                    label=label,
                )
        axes.set(xlabel="change of F1, 95 %")
        axes.set_yticks(places, list(f1))
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=2)
    listed = ", ".join(f"{name} {of['change']['value']:+.3f}" for name, of in f1.items())
    return svg.render(figure, f"Changes of F1 by emotion: {listed}")


def draw_history(runs: list[dict[str, Any]]) -> markupsafe.Markup:
    """Draws accuracy and macro F1 of the runs that got so far, one behind the other."""
    places = range(1, len(runs) + 1)
    with svg.style():
        figure = svg.make_figure(height=3.0)
        axes = figure.subplots()
        axes.grid()
        for key, label, color in (
            ("accuracy", "accuracy", svg.SERIES[0]),
            ("macro_f1", "macro F1", svg.SERIES[1]),
        ):
            axes.plot(places, [run[key] for run in runs], "o-", color=color, label=label)
        for place, run in zip(places, runs, strict=True):
            if run["verdict"] == run_facts.NOT_BLESSED:
                axes.axvline(place, color=svg.WARNING, linewidth=1, linestyle=":")
        axes.set(xlabel="run (dotted: not blessed)", ylabel="on private_test")
        axes.set_xticks(
            places, [run["started"][:16].replace("T", " ") for run in runs], rotation=45, ha="right"
        )
        figure.legend(loc="outside upper center", ncols=2)
    last = runs[-1]
    return svg.render(
        figure,
        f"Accuracy and macro F1 of {len(runs)} runs; the last: {last['accuracy']:.3f} and "
        f"{last['macro_f1']:.3f}",
    )
