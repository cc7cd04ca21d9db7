"""The SavedModel and its serving signatures: the only serving preprocessing there is."""

import functools
import json
import pathlib
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import preprocessing

MANIFEST = "assets.extra/muwnet.json"
_FACE = (fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)


class ServingModule(tf.Module):
    """Transform graph and network as one object with a function a signature.

    Each returns `probabilities` float32 [N, 7], `class_id` int64 [N] and `label` string [N].
    """

    def __init__(self, model: keras.Model, transform_output: tft.TFTransformOutput):
        super().__init__()
        # The model itself stays untracked: TensorFlow would export each Keras 3 variable twice, and
        # TensorFlow Serving restore only the copy that no function reads (keras-team/keras#20095).
        self._weights = [weight.value for weight in model.weights]
        self._predict = functools.partial(model, training=False)
        # TFT's layer is a Keras 2 object: it may stand beside a Keras 3 model, not within it.
        self.transform = transform_output.transform_features_layer()
        self._image_spec = {
            fer2013.IMAGE_KEY: transform_output.raw_feature_spec()[fer2013.IMAGE_KEY]
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples):
        """Serialized Examples; `image` alone is read."""
        return self._predict_raw(tf.io.parse_example(examples, self._image_spec))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def predict_images(self, image):
        """PNG or JPEG bytes up to 4096x4096 pixels; all else is an INVALID_ARGUMENT."""
        return self._predict_raw({fer2013.IMAGE_KEY: image[:, tf.newaxis]})

    @tf.function(input_signature=[tf.TensorSpec([None, *_FACE], tf.uint8, name="image")])
    def predict_faces(self, image):
        """Grey faces, 48x48."""
        probabilities = self._predict(image)
        class_id = tf.argmax(probabilities, axis=1)
        return {
            "probabilities": probabilities,
            "class_id": class_id,
            "label": tf.gather(tf.constant(fer2013.EMOTIONS), class_id),
        }

    def _predict_raw(self, features):
        transformed = self.transform(features)
        return self.predict_faces(preprocessing.decode_transformed(transformed[fer2013.IMAGE_KEY]))


def save(
    model: keras.Model,
    transform_output: tft.TFTransformOutput,
    manifest: dict[str, Any],
    path: str,
) -> None:
    """Writes a SavedModel that loads without this package, and its manifest."""
    module = ServingModule(model, transform_output)
    tf.saved_model.save(
        module,
        path,
        signatures={
            "serving_default": module.serving_default,
            "predict_images": module.predict_images,
            "predict_faces": module.predict_faces,
        },
    )
    manifest_path = pathlib.Path(path, MANIFEST)
    manifest_path.parent.mkdir(exist_ok=True)
    manifest_path.write_text(json.dumps(manifest, indent=1) + "\n")
