"""The SavedModel and its serving signatures: the only serving preprocessing there is."""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import folding, packaged_weights, views, warmup
from muwnet_fer.models.muwnet import model as muwnet_model

TEN_VIEWS = "ten_views"
_FACE = (fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)
_IMAGE_SPEC = {fer2013.IMAGE_KEY: tf.io.FixedLenFeature([], tf.string)}


class ServingModule(tf.Module):
    """Decoding and network as one object with a function a signature.

    Each returns `probabilities` float32 [N, 7], `class_id` int64 [N] and `label` string [N].

    Args:
      model: from build_muwnet.
      decode: string [N] of encoded images -> uint8 [N, 48, 48].
      temperature: that divides the logits.
      tracked: what `decode` needs restored with it.
    """

    def __init__(
        self,
        model: keras.Model,
        decode: Callable[[tf.Tensor], tf.Tensor],
        temperature: float,
        tracked: tf.Module | None = None,
    ):
        super().__init__()
        # The model itself stays untracked: TensorFlow would export each Keras 3 variable twice, and
        # TensorFlow Serving restore only the copy that no function reads (keras-team/keras#20095).
        # Kept for packaged_weights alone: the functions have constants instead.
        self.weights = [weight.value for weight in model.weights]
        folded = folding.fold_batch_norm(model)
        self._compute_logits = _freeze(muwnet_model.get_logits(folded))
        self._temperature = temperature
        self._decode = decode
        self.tracked = tracked

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(self, examples):
        """Serialized Examples; `image` alone is read."""
        return self.predict_images(tf.io.parse_example(examples, _IMAGE_SPEC)[fer2013.IMAGE_KEY])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def predict_images(self, image):
        """PNG or JPEG bytes up to 4096x4096 pixels; all else is an INVALID_ARGUMENT."""
        return self.predict_faces(self._decode(image))

    @tf.function(input_signature=[tf.TensorSpec([None, *_FACE], tf.uint8, name="image")])
    def predict_faces(self, image):
        """Grey faces, 48x48; others are an INVALID_ARGUMENT."""
        # The convolutions would take faces of any size.
        return _name_outputs(self._predict(tf.ensure_shape(image, [None, *_FACE])))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def ten_views(self, examples):
        """Like serving_default, each probability the mean over ten views of the face."""
        image = tf.io.parse_example(examples, _IMAGE_SPEC)[fer2013.IMAGE_KEY]
        return self.predict_ten_views(self._decode(image))

    @tf.function(input_signature=[tf.TensorSpec([None, *_FACE], tf.uint8, name="image")])
    def predict_ten_views(self, image):
        """Like predict_faces, each probability the mean over ten views of the face."""
        probabilities = tf.map_fn(
            self._predict,
            views.make_views(image),
            parallel_iterations=1,  # all at once would take ten times the memory
            fn_output_signature=tf.TensorSpec((None, len(fer2013.EMOTIONS)), tf.float32),
        )
        return _name_outputs(tf.reduce_mean(probabilities, axis=0))

    def _predict(self, faces):
        return tf.nn.softmax(self._compute_logits(faces) / self._temperature)


def _freeze(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network's function with its weights as constants: TensorFlow then lays kernels out
    once, not at each call (make bench-serving).
    """
    spec = tf.TensorSpec([None, *_FACE], tf.uint8)
    function = tf.function(functools.partial(network, training=False)).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    return lambda faces: frozen(faces)[0]


def _name_outputs(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    class_id = tf.argmax(probabilities, axis=1)
    return {
        "probabilities": probabilities,
        "class_id": class_id,
        "label": tf.gather(tf.constant(fer2013.EMOTIONS), class_id),
    }


def save(module: ServingModule, manifest: dict[str, Any], path: str) -> None:
    """Writes a SavedModel that loads without this package, its manifest and warm-up requests."""
    tf.saved_model.save(
        module,
        path,
        signatures={
            "serving_default": module.serving_default,
            "predict_images": module.predict_images,
            "predict_faces": module.predict_faces,
            TEN_VIEWS: module.ten_views,
        },
    )
    manifest_path = pathlib.Path(path, packaged_weights.SAVED_MODEL_MANIFEST)
    manifest_path.parent.mkdir(exist_ok=True)
    manifest_path.write_text(json.dumps(manifest, indent=1) + "\n")
    warmup.write(pathlib.Path(path))
