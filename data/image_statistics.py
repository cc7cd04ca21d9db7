"""Brightness, contrast and sharpness of a face: what TFDV validates and TFMA slices by."""

import numpy as np

from muwnet_fer.data import fer2013


def compute_statistics(image: np.ndarray) -> dict[str, float]:
    """Returns the statistics of one grey image by feature key, in grey levels.

    brightness is the mean, contrast the standard deviation (root mean square contrast, Peli
    1990), sharpness the standard deviation of the 4-neighbour Laplacian (the focus measure of
    Pech-Pacheco et al. 2000, there as a variance), borders left out.

    Args:
      image: uint8 [height, width], both at least 3.
    """
    levels = image.astype(np.float32)
    laplacian = (
        levels[:-2, 1:-1]
        + levels[2:, 1:-1]
        + levels[1:-1, :-2]
        + levels[1:-1, 2:]
        - 4 * levels[1:-1, 1:-1]
    )
    return {
        fer2013.BRIGHTNESS_KEY: float(levels.mean()),
        fer2013.CONTRAST_KEY: float(levels.std()),
        fer2013.SHARPNESS_KEY: float(laplacian.std()),
    }
