"""Runs the pipeline with its model or data spoilt; everything after that is real.

    python tests/pipeline/spoil.py KIND OUTPUT [MODEL]

KIND swapped_heads, biased_head: the Trainer exports MODEL with its head changed. KIND labels: the
Examples of public_test carry a label that does not exist. KIND crash: the Trainer raises.
"""

import importlib.util
import sys

SWAPPED = ("angry", "surprise")
FAVOURED = "sad"


def export_swapped(fn_args) -> None:
    """Two classes' columns of the last layer change places."""
    from muwnet_fer.data import fer2013

    first, second = (fer2013.EMOTIONS.index(emotion) for emotion in SWAPPED)

    def swap(weights):
        kernel, bias = weights.arrays[-2:]
        kernel[:, [first, second]] = kernel[:, [second, first]]
        bias[[first, second]] = bias[[second, first]]

    _export_changed(fn_args, swap)


def export_biased(fn_args) -> None:
    """One class gets a head start: the model is worse, if not by much."""
    from muwnet_fer.data import fer2013

    def favour(weights):
        bias = weights.arrays[-1]
        bias[fer2013.EMOTIONS.index(FAVOURED)] += _measure_head_start(weights, fn_args)

    _export_changed(fn_args, favour)


def _measure_head_start(weights, fn_args) -> float:
    """Returns the bias by which a tenth of the other classes' public_test faces become FAVOURED."""
    import numpy as np
    import tensorflow_transform as tft

    from muwnet_fer.data import fer2013
    from muwnet_fer.models.muwnet import examples, packaged_weights

    spec = tft.TFTransformOutput(fn_args.transform_graph_path).transformed_feature_spec()
    split = examples.load_split(fn_args.eval_files, spec)
    module = packaged_weights.load(weights)
    favoured = fer2013.EMOTIONS.index(FAVOURED)
    others = np.log(module.predict_faces(split.faces)["probabilities"])[split.labels != favoured]
    behind = others.max(axis=1) - others[:, favoured]
    return weights.manifest["temperature"] * float(np.quantile(behind, 0.1))


def raise_error(fn_args) -> None:
    raise OSError("no space left, says this test")


def _export_changed(fn_args, change) -> None:
    """Exports the model that `change` altered, in place: the last layer's arrays come last."""
    from muwnet_fer.models.muwnet import export, packaged_weights

    weights = packaged_weights.read(fn_args.custom_config["spoilt_model"])
    change(weights)
    module = packaged_weights.load(weights)
    export.save(module, weights.manifest, fn_args.serving_model_dir)


def spoil_trainer(run_fn: str, model: str | None) -> None:
    """Makes create_pipeline's Trainer call another run_fn."""
    import json

    from muwnet_fer.pipeline import pipeline

    create_pipeline = pipeline.create_pipeline

    def create_spoilt(config):
        created = create_pipeline(config)
        (trainer,) = (node for node in created.components if node.id == "Trainer")
        trainer.exec_properties["run_fn"] = run_fn
        trainer.exec_properties["custom_config"] = json.dumps({"spoilt_model": model})
        return created

    pipeline.create_pipeline = create_spoilt


def spoil_labels() -> None:
    """Makes ExampleGen write emotion 7 into public_test."""
    from muwnet_fer.components.fer2013_example_gen import component, executor

    row_to_example = executor.row_to_example

    def spoilt(row, seen_in_training):
        example = row_to_example(row, seen_in_training)
        if row.split == "public_test":
            example.features.feature["emotion"].int64_list.value[0] = 7
        return example

    executor.row_to_example = spoilt
    # Nothing of the good run may be taken from the cache, nor the good take from this.
    compute_md5 = component.data_source.compute_md5
    component.data_source.compute_md5 = lambda source: compute_md5(source)[::-1]


def main(kind: str, output: str, model: str | None = None) -> int:
    from muwnet_fer.pipeline import local_runner

    # The Trainer imports run_fn by its dotted path.
    sys.modules["spoil"] = sys.modules["__main__"]
    sys.modules["spoil"].__spec__ = importlib.util.spec_from_file_location("spoil", __file__)
    if kind == "labels":
        spoil_labels()
    else:
        run_fns = {
            "swapped_heads": export_swapped,
            "biased_head": export_biased,
            "crash": raise_error,
        }
        spoil_trainer(f"spoil.{run_fns[kind].__name__}", model)
    return local_runner.run(output=output, profile="smoke")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
