"""LocalModel: a SavedModel in this process that answers as EmotionClient does; by TensorFlow."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its greetings; read when it is imported
import tensorflow as tf  # noqa: E402

from muwnet_fer.serving import prediction  # noqa: E402

_FILE = "saved_model.pb"


class LocalModel:
    """A pushed version, loaded. Any number of threads may share one.

    Args:
      model_dir: a SavedModel, or a folder of versions, of which the newest is taken.

    Raises:
      PredictionError: for another folder, or a SavedModel without MuWNet's signatures.
    """

    def __init__(self, model_dir: str | os.PathLike[str]):
        self.path = _find_saved_model(pathlib.Path(model_dir))
        try:
            # Kept as a whole: the signatures hold no reference to their variables.
            self._model = tf.saved_model.load(str(self.path))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise prediction.PredictionError(
                f"expected a SavedModel at {self.path}, got {type(error).__name__}: {error}"
            ) from error
        missing = {"predict_faces", "predict_images"} - self._model.signatures.keys()
        if missing:
            raise prediction.PredictionError(
                f"expected {self.path} to have the signatures predict_faces and predict_images, "
                f"got {', '.join(sorted(self._model.signatures)) or 'none'}"
            )

    def predict(self, images: Sequence[np.ndarray | bytes]) -> list[prediction.Prediction]:
        """Returns the predictions of pictures of one face each, as EmotionClient.predict.

        Raises:
          PredictionError: for bytes that are no PNG or JPEG.
          TypeError, ValueError: for what is neither bytes nor uint8 [h, w] or [h, w, 3].
        """
        return prediction.predict(images, self._run)

    def _run(self, signature: str, image: np.ndarray) -> np.ndarray:
        # Of bytes, numpy's dtype object: TensorFlow cannot guess that.
        tensor = tf.constant(image, tf.string if image.dtype == object else tf.uint8)
        try:
            outputs = self._model.signatures[signature](image=tensor)
        except tf.errors.OpError as error:
            raise prediction.PredictionError(
                f"expected {self.path} to answer, got {error.message}"
            ) from error
        return outputs["probabilities"].numpy()


def _find_saved_model(folder: pathlib.Path) -> pathlib.Path:
    if (folder / _FILE).is_file():
        return folder
    versions = [path.parent for path in folder.glob(f"*/{_FILE}") if path.parent.name.isdecimal()]
    if not versions:
        raise prediction.PredictionError(
            f"expected a SavedModel, or versions of one in folders named by numbers, got {folder}"
        )
    return max(versions, key=lambda path: int(path.name))
