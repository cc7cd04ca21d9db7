"""One version of a model: a SavedModel, loaded and warmed up."""

import dataclasses
import pathlib

import cv2
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from muwnet_fer.data import fer2013
from muwnet_fer.serving import apis, tensors
from muwnet_fer.serving.server import batching

SAVED_MODEL = "saved_model.pb"
WARMUP_REQUESTS = "assets.extra/tf_serving_warmup_requests"
# tensorflow_serving/servables/tensorflow/saved_model_warmup_util.h: kMaxNumRecords.
_MOST_WARMUP_REQUESTS = 1000
DEFAULT_SIGNATURE = "serving_default"

_INPUT_DTYPES = {tf.uint8: tensors.UINT8, tf.string: tensors.STRING}


class LoadError(ValueError):
    """A version that cannot be served; the message says which and why."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature's one input, as MuWNet's are, and its outputs' names."""

    input: str
    dtype: int  # tensors.UINT8 or tensors.STRING
    row_shape: tuple[int, ...]  # of the input, without the batch
    outputs: tuple[str, ...]
    batcher: batching.Batcher


class Servable:
    """A loaded version; thread-safe.

    Attributes:
      path: of the version's folder.
      version: its number.
      signatures: by name, those that can be called.
      signature_defs: apis.SignatureDefMap, all that the SavedModel has.
    """

    def __init__(self, path: pathlib.Path, version: int, options: batching.BatchingOptions):
        """Loads a version and warms it up.

        Raises:
          LoadError: for what is no SavedModel, one with other signatures than MuWNet's, and one
            that fails at its warm-up requests.
        """
        self.path = path
        self.version = version
        try:
            self.signature_defs = _read_signature_defs(path)
            self._model = tf.saved_model.load(str(path))
            self.signatures = {
                name: _describe(name, function, options)
                for name, function in self._model.signatures.items()
            }
            _warm_up(self)
        except LoadError:
            raise
        # TensorFlow raises anything for a damaged file: a broken version must stop no server.
        except Exception as error:
            raise LoadError(f"expected a SavedModel in {path}, got {error}") from error


def _read_signature_defs(path: pathlib.Path) -> apis.SignatureDefMap:
    saved_model = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
    signature_defs = apis.SignatureDefMap()
    for name, definition in saved_model.meta_graphs[0].signature_def.items():
        signature_defs.signature_def[name].ParseFromString(definition.SerializeToString())
    return signature_defs


def _describe(name: str, function, options: batching.BatchingOptions) -> Signature:
    """Returns what has to be known of a tf.ConcreteFunction to call it with a batch."""
    _, inputs = function.structured_input_signature
    if len(inputs) != 1:
        raise LoadError(f"expected signature {name} to have one input, got {sorted(inputs)}")
    ((key, spec),) = inputs.items()
    shape = spec.shape.as_list() if spec.shape.rank is not None else []
    if spec.dtype not in _INPUT_DTYPES or shape[:1] != [None] or None in shape[1:]:
        raise LoadError(f"expected signature {name} to take bytes or uint8 rows, got {spec}")

    def run(rows: np.ndarray) -> batching.Arrays:
        outputs = function(**{key: tf.convert_to_tensor(rows, spec.dtype)})
        return {output: tensor.numpy() for output, tensor in outputs.items()}

    return Signature(
        key,
        _INPUT_DTYPES[spec.dtype],
        tuple(shape[1:]),
        tuple(sorted(function.structured_outputs)),
        batching.Batcher(run, options),
    )


def _warm_up(servable: Servable) -> None:
    """Runs the version's own warm-up requests, else every signature of ours once, on a face."""
    file = servable.path / WARMUP_REQUESTS
    for request in _read_requests(file) if file.exists() else _make_requests(servable):
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = servable.signatures.get(name)
        if signature is None or set(request.inputs) != {signature.input}:
            raise LoadError(f"expected requests for the model's signatures in {file}, got {name}")
        signature.batcher.submit(tensors.to_array(request.inputs[signature.input]))


def _read_requests(file: pathlib.Path) -> list[apis.PredictRequest]:
    """Returns the requests of a TFRecord file of PredictionLogs."""
    requests = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = apis.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        if kind != "predict_log":
            raise LoadError(f"expected Predict requests in {file}, got {kind}")
        requests.append(log.predict_log.request)
        if len(requests) > _MOST_WARMUP_REQUESTS:
            raise LoadError(f"expected at most {_MOST_WARMUP_REQUESTS} requests in {file}")
    return requests


def _make_requests(servable: Servable) -> list[apis.PredictRequest]:
    """Returns a request of one blank face for each signature whose input is known."""
    face = np.full((fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE), 128, np.uint8)
    png = cv2.imencode(".png", face)[1].tobytes()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
    example = tf.train.Example(
        features=tf.train.Features(feature={fer2013.IMAGE_KEY: feature})
    ).SerializeToString()
    rows = {
        (fer2013.IMAGE_KEY, tensors.UINT8): face[np.newaxis],
        (fer2013.IMAGE_KEY, tensors.STRING): np.array([png], object),
        ("examples", tensors.STRING): np.array([example], object),
    }
    requests = []
    for name, signature in servable.signatures.items():
        if (signature.input, signature.dtype) in rows:
            request = apis.PredictRequest()
            request.model_spec.signature_name = name
            row = rows[signature.input, signature.dtype]
            request.inputs[signature.input].CopyFrom(tensors.to_proto(row))
            requests.append(request)
    return requests
