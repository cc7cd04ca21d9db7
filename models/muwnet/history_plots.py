"""Accuracy and loss curves of a training as PNG files."""

import pathlib

from matplotlib import figure

_CURVES = {"accuracy": "Accuracy", "loss": "Loss"}


def write(history: dict[str, list[float]], folder: pathlib.Path, validation: str) -> None:
    """Writes accuracy.png and loss.png over the epochs; `validation` names the second curve."""
    for name, title in _CURVES.items():
        # A Figure of its own, not pyplot: no global state, no display.
        plot = figure.Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
        axes = plot.subplots()
        epochs = range(1, len(history[name]) + 1)
        marker = "o" if len(epochs) == 1 else None
        axes.plot(epochs, history[name], label="Training (augmented)", marker=marker)
        axes.plot(epochs, history[f"val_{name}"], label=validation, marker=marker)
        axes.set(title=f"{title} by epoch", xlabel="Epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
        plot.savefig(folder / f"{name}.png")
