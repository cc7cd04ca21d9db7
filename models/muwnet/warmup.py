"""Warm-up requests: what a server runs after loading a model, so that no client's request is first.

TensorFlow builds and optimises the graph of a signature when it is first used. TensorFlow Serving
replays assets.extra/tf_serving_warmup_requests before a version takes requests; its form is in
tensorflow_serving/g3doc/saved_model_warmup.md.
"""

import pathlib

import cv2
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from muwnet_fer.data import fer2013

FILE = "assets.extra/tf_serving_warmup_requests"


def make_requests() -> list[predict_pb2.PredictRequest]:
    """Returns a request of one image for each signature that clients use."""
    side = fer2013.IMAGE_SIZE
    # From black to white: what the network makes of it does not matter.
    face = np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))
    image = cv2.imencode(".png", face)[1].tobytes()
    example = tf.train.Example()
    example.features.feature[fer2013.IMAGE_KEY].bytes_list.value.append(image)
    requests = []
    for signature, key, value in (
        ("predict_images", fer2013.IMAGE_KEY, [image]),
        ("predict_faces", fer2013.IMAGE_KEY, face[np.newaxis]),
        ("serving_default", "examples", [example.SerializeToString()]),
    ):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "muwnet"
        request.model_spec.signature_name = signature
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        requests.append(request)
    return requests


def write(saved_model: pathlib.Path) -> None:
    """Puts the requests beside a SavedModel."""
    path = saved_model / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in make_requests():
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString(deterministic=True))
