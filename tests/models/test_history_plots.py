"""The curves are pictures that show the history."""

import cv2
import numpy as np
import pytest

from muwnet_fer.models.muwnet import history_plots

HISTORY = {
    "accuracy": [0.2, 0.4, 0.5],
    "val_accuracy": [0.3, 0.35, 0.45],
    "loss": [1.9, 1.6, 1.4],
    "val_loss": [1.8, 1.7, 1.5],
    "learning_rate": [0.1, 0.1, 0.1],
    "seconds": [1.0, 1.0, 1.0],
}
# Matplotlib's first two colours, as OpenCV reads them.
TRAINING_BGR, PUBLIC_TEST_BGR = (180, 119, 31), (14, 127, 255)


def draw(history, folder) -> dict[str, np.ndarray]:
    """Writes the plots and reads them back as BGR pictures by file name."""
    folder.mkdir()
    history_plots.write(history, folder, "PublicTest")
    return {path.name: cv2.imread(str(path)) for path in folder.iterdir()}


def test_two_plots_are_written_in_one_size(tmp_path):
    plots = draw(HISTORY, tmp_path / "plots")
    assert plots.keys() == {"accuracy.png", "loss.png"}
    assert {plot.shape for plot in plots.values()} == {(504, 840, 3)}


@pytest.mark.parametrize(
    ("curve", "plot"),
    [
        ("accuracy", "accuracy.png"),
        ("val_accuracy", "accuracy.png"),
        ("loss", "loss.png"),
        ("val_loss", "loss.png"),
    ],
)
def test_each_curve_shows_in_its_own_plot(tmp_path, curve, plot):
    before = draw(HISTORY, tmp_path / "before")
    # The middle of the curve: no end of an axis moves with it.
    first, middle, last = HISTORY[curve]
    after = draw({**HISTORY, curve: [first, (middle + last) / 2, last]}, tmp_path / "after")
    assert [name for name in before if np.any(before[name] != after[name])] == [plot]


def test_single_epoch_shows_as_points(tmp_path):
    plots = draw({name: values[:1] for name, values in HISTORY.items()}, tmp_path / "plots")
    for plot in plots.values():
        for colour in (TRAINING_BGR, PUBLIC_TEST_BGR):
            spots = np.all(plot == colour, axis=2).astype(np.uint8)
            # Background, the legend's sample of the curve, the point itself.
            assert cv2.connectedComponents(spots)[0] == 3
