"""Temperature scaling: one number by which the network's logits are divided, fitted on PublicTest.

Guo et al. 2017, arXiv:1706.04599. It changes no face's emotion, only how sure the model is of it.
"""

import dataclasses

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


@dataclasses.dataclass(frozen=True)
class Bin:
    """The faces whose highest probability lies in a range: how many, their mean highest
    probability, and the share of them that is right.
    """

    low: float
    high: float
    faces: int
    confidence: float
    accuracy: float


def bin_by_confidence(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> list[Bin]:
    """Returns the bins of equal width that hold a face, in their order.

    Args:
      probabilities: float32 [N, 7].
      labels: int64 [N].
      bins: Guo et al. report 15.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            int((bin_of == number).sum()),
            float(confidence[bin_of == number].mean()),
            float(correct[bin_of == number].mean()),
        )
        for number in np.unique(bin_of)
    ]


def compute_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Returns the expected calibration error of the emotion predicted (Guo et al., section 3).

    The mean, over bins of equal width of the highest probability, of the distance between that and
    the accuracy; each bin weighs as much as it holds faces.

    Args: see `bin_by_confidence`.
    """
    found = bin_by_confidence(probabilities, labels, bins)
    return sum(of.faces * abs(of.accuracy - of.confidence) for of in found) / len(labels)
