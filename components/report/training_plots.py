"""Plots of a training over its epochs."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import svg
from muwnet_fer.models.muwnet import config as muwnet_config


def draw_curve(facts: dict[str, Any], name: str) -> markupsafe.Markup:
    """Draws accuracy or loss of both splits, with resumes, learning-rate drops, changes of the
    faces' size and the best epoch.

    Args:
      facts: as pages.training.collect returns them.
      name: "accuracy" or "loss".
    """
    epochs = [of["epoch"] for of in facts["epochs"]]
    validation = muwnet_config.name_validation(facts["contaminated"])
    marker = "o" if len(epochs) == 1 else None
    with svg.style():
        figure = svg.make_figure()
        axes = figure.subplots()
        axes.grid()
        for key, label, color in (
            (name, "training (augmented)", svg.SERIES[0]),
            (f"val_{name}", validation, svg.SERIES[1]),
        ):
            values = [of[key] for of in facts["epochs"]]
            axes.plot(epochs, values, color=color, label=label, marker=marker)
        _mark(axes, facts)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(loc="outside upper center", ncols=3)
    first, last = facts["epochs"][0], facts["epochs"][-1]
    return svg.render(
        figure,
        f"{name} over {len(epochs)} epochs: in training from {first[name]:.3f} to "
        f"{last[name]:.3f}, on PublicTest from {first[f'val_{name}']:.3f} to "
        f"{last[f'val_{name}']:.3f}",
    )


def draw_learning_rate(facts: dict[str, Any]) -> markupsafe.Markup:
    """Draws the learning rate at the end of each epoch."""
    rates = [of["learning_rate"] for of in facts["epochs"]]
    with svg.style():
        figure = svg.make_figure(height=2.2)
        axes = figure.subplots()
        axes.grid()
        axes.plot(
            [of["epoch"] for of in facts["epochs"]],
            rates,
            color=svg.SERIES[2],
            marker="o" if len(rates) == 1 else None,
        )
        axes.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
    return svg.render(
        figure, f"Learning rate by epoch: at most {max(rates):.4g}, in the end {rates[-1]:.4g}"
    )


def _mark(axes, facts: dict[str, Any]) -> None:
    """Draws upright lines at what happened."""
    done = len(facts["epochs"])
    if facts["best_epoch"] is not None:
        axes.axvline(facts["best_epoch"], color=svg.SERIES[2], linewidth=1, label="best epoch")
    for epochs, label, style in (
        (facts["resumed_after"], "resumed", ":"),
        (facts["drops"], "learning rate lowered", "--"),
        (
            [of["from_epoch"] for of in facts["sizes"][1:] if of["from_epoch"] <= done],
            "faces of another size",
            "-.",
        ),
    ):
        for number, epoch in enumerate(epochs):
            axes.axvline(
                epoch,
                color=svg.FOREGROUND,
                linewidth=1,
                linestyle=style,
                label=label if number == 0 else None,
            )
