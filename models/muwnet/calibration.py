"""Temperature scaling: one number by which the network's logits are divided, fitted on PublicTest.

Guo et al. 2017, arXiv:1706.04599. It changes no face's emotion, only how sure the model is of it.
"""

import numpy as np
import scipy.optimize
import scipy.special

# Far beyond what networks need. Without limits a network that knows every face of a small split
# would be told to be sure of everything.
_LOWEST, _HIGHEST = 0.25, 4.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature of the lowest negative log-likelihood, within 1/4 and 4.

    Args:
      logits: float32 [N, 7].
      labels: int64 [N].
    """

    def compute_loss(log_temperature: float) -> float:
        log_probabilities = scipy.special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -np.take_along_axis(log_probabilities, labels[:, np.newaxis], axis=1).mean()

    found = scipy.optimize.minimize_scalar(
        compute_loss,
        bounds=np.log([_LOWEST, _HIGHEST]),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def compute_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Returns the expected calibration error of the emotion predicted (Guo et al., section 3).

    The mean, over bins of equal width of the highest probability, of the distance between that and
    the accuracy; each bin weighs as much as it holds faces.

    Args:
      probabilities: float32 [N, 7].
      labels: int64 [N].
      bins: Guo et al. report 15.
    """
    confidence = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == labels) - confidence
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(bin_of, surplus, bins)).sum() / len(labels))
