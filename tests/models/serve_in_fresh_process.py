"""Serves a SavedModel without this package, eagerly and as TensorFlow Serving does; no test.

Usage: python -I serve_in_fresh_process.py SAVED_MODEL INPUTS.npz OUTPUTS.npz

The inputs are `examples`, `images` (bytes) and `faces`; the outputs are named
{eager,session}/{signature}/{output}.
"""

import sys


class Refusal:
    """Fails every import of the project's package and of TensorFlow Transform."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("muwnet_fer", "tensorflow_transform"):
            raise ImportError(f"{name} must not be needed for serving")


sys.meta_path.insert(0, Refusal())

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def serve_eagerly(path: str, feeds: dict) -> dict:
    signatures = tf.saved_model.load(path).signatures
    return {
        f"eager/{name}/{output}": value.numpy()
        for name, feed in feeds.items()
        for output, value in signatures[name](
            **{key: tf.constant(value) for key, value in feed.items()}
        ).items()
    }


def serve_in_session(path: str, feeds: dict) -> dict:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], path)
        outputs = {}
        for name, feed in feeds.items():
            signature = meta_graph.signature_def[name]
            values = session.run(
                {key: info.name for key, info in signature.outputs.items()},
                {signature.inputs[key].name: value for key, value in feed.items()},
            )
            outputs |= {f"session/{name}/{key}": value for key, value in values.items()}
        return outputs


def main(path: str, inputs_path: str, outputs_path: str) -> None:
    inputs = np.load(inputs_path, allow_pickle=True)
    feeds = {
        "serving_default": {"examples": inputs["examples"]},
        "predict_images": {"image": inputs["images"]},
        "predict_faces": {"image": inputs["faces"]},
    }
    outputs = serve_eagerly(path, feeds) | serve_in_session(path, feeds)
    np.savez(outputs_path, **outputs)
    print(sorted({name.split(".")[0] for name in sys.modules}))


if __name__ == "__main__":
    main(*sys.argv[1:])
