"""Sends images to a SavedModel, eagerly and as TensorFlow Serving does, to be refused; no test.

Usage: python -I refuse_in_fresh_process.py SAVED_MODEL IMAGE...

Prints a JSON object a line: loader, image, message (null where it was not refused), seconds, and
megabytes by which the process' peak of memory grew.
"""

import json
import resource
import sys
import time

import tensorflow as tf


def load_eagerly(path: str):
    predict = tf.saved_model.load(path).signatures["predict_images"]
    return lambda image: predict(image=tf.constant([image]))


def load_in_session(path: str):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], path)
    signature = meta_graph.signature_def["predict_images"]
    outputs = {key: info.name for key, info in signature.outputs.items()}
    return lambda image: session.run(outputs, {signature.inputs["image"].name: [image]})


def read_peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(path: str, images: list[str]) -> None:
    for load in (load_eagerly, load_in_session):
        predict = load(path)
        for image in images:
            with open(image, "rb") as file:
                encoded = file.read()
            peak, started, message = read_peak_megabytes(), time.perf_counter(), None
            try:
                predict(encoded)
            except tf.errors.InvalidArgumentError as error:
                message = str(error)
            outcome = {
                "loader": load.__name__,
                "image": image,
                "message": message,
                "seconds": time.perf_counter() - started,
                "megabytes": read_peak_megabytes() - peak,
            }
            print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
