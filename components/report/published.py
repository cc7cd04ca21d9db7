"""Accuracies that others reported on FER2013, and how each came about.

Taken from the papers and sources that are named; what their code shows stands where it differs
from what they say. `parameters` is None where it is not known.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """A model's accuracy in per cent, its parameters, and how it was obtained."""

    model: str
    accuracy: float
    parameters: float | None
    obtained: str


PAPER = (
    Published("MuWNet, experiment 1 (its paper)", 70.58, 3.1e6, "PrivateTest, by its paper"),
    Published(
        "MuWNet, experiment 2 (its paper)",
        70.72,
        3.1e6,
        "PrivateTest, by its paper; trained on PublicTest, too",
    ),
)
OTHERS = (
    Published(
        "ResMaskingNet (Pham et al. 2020)",
        74.14,
        142.9e6,
        "PrivateTest, ten views, ImageNet's weights at the start; by one view 71.1 (a user)",
    ),
    Published(
        "ResNet-18 (LetheSec)",
        73.70,
        11.2e6,
        "ten crops; the best of 300 epochs was chosen on PrivateTest itself",
    ),
    Published(
        "VGG (Khaireddin and Chen 2021)",
        73.28,
        30e6,
        "PublicTest, ten crops; its learning rate was tuned on PrivateTest",
    ),
    Published(
        "DenseNet-121 (Pham et al. 2020)",
        73.16,
        6.9e6,
        "PrivateTest, eight to ten views, ImageNet's weights at the start",
    ),
    Published(
        "VGG-19 (WuJie1010)", 73.11, 20e6, "ten crops; the epoch was chosen on PrivateTest itself"
    ),
    Published("SVM on a network (Tang 2013, Kaggle's winner)", 71.16, None, "PrivateTest"),
    Published(
        "ResNet-18, fine-tuned (a public notebook)",
        71.11,
        11.2e6,
        "PrivateTest, read once, one view, ImageNet's weights at the start",
    ),
    Published(
        "Four pairs of convolutions (a public notebook)",
        67.93,
        1.77e6,
        "PublicTest, on which it was chosen",
    ),
    Published("Eight convolutions (a public notebook)", 67.37, None, "PrivateTest, read once"),
    Published(
        "TinyFER-Lite (MobileNetV3)",
        67.07,
        0.93e6,
        "PrivateTest, one view, ImageNet's weights at the start",
    ),
    Published(
        "fer 25.10.3, as shipped", 65.76, 58423, "PrivateTest, one view, measured by its TFLite"
    ),
    Published("People (Goodfellow et al. 2013)", 65.0, None, "give or take 5"),
)
