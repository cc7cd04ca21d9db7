"""What the tests of MuWNet share: a tiny network and a real transform graph with its Examples."""

import dataclasses
import pathlib

import apache_beam as beam
import cv2
import numpy as np
import pytest
import tensorflow_transform as tft
from apache_beam.options import pipeline_options
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import preprocessing


@dataclasses.dataclass(frozen=True)
class Transformed:
    """Raw rows and what Transform made of them; row i shows emotion i, which identifies it."""

    faces: np.ndarray  # uint8 [7, 48, 48]
    rows: list[dict]  # raw features by key
    output: tft.TFTransformOutput
    examples: str  # glob pattern of the transformed Examples, in any order


@pytest.fixture(scope="session")
def transformed(tmp_path_factory) -> Transformed:
    """Runs the real Transform with the curated schema over one random face an emotion."""
    folder = tmp_path_factory.mktemp("transform")
    # Of large patches, so that even an untrained network tells the faces apart.
    patches = np.random.default_rng(1).integers(0, 256, (len(fer2013.EMOTIONS), 6, 6))
    faces = np.kron(patches, np.ones((1, 8, 8))).astype(np.uint8)
    rows = [
        {
            fer2013.IMAGE_KEY: [cv2.imencode(".png", face)[1].tobytes()],
            fer2013.LABEL_KEY: [emotion],
            fer2013.ROW_KEY: [emotion + 100],
            fer2013.SEEN_IN_TRAINING_KEY: [0],
            **{key: [50.0] for key in fer2013.STATISTICS_KEYS},
            **{fer2013.bucket_key(key): [b"q3"] for key in fer2013.STATISTICS_KEYS},
        }
        for emotion, face in enumerate(faces)
    ]
    schema = text_format.Parse(
        pathlib.Path(fer2013.__file__).with_name("schema.pbtxt").read_text(), schema_pb2.Schema()
    )
    # Options of its own: by default Beam reads pytest's command line.
    with (
        beam.Pipeline(options=pipeline_options.PipelineOptions([])) as pipeline,
        tft_beam.Context(str(folder / "temp")),
    ):
        raw_metadata = dataset_metadata.DatasetMetadata(schema)
        (data, metadata), transform = (
            pipeline | beam.Create(rows),
            raw_metadata,
        ) | tft_beam.AnalyzeAndTransformDataset(preprocessing.preprocessing_fn)
        graph = folder / "graph"
        raw_metadata | tft_beam.WriteMetadata(
            str(graph / tft.TFTransformOutput.RAW_METADATA_DIR), pipeline
        )
        transform | tft_beam.WriteTransformFn(str(graph))
        encoded = data | beam.Map(tft.coders.ExampleProtoCoder(metadata.schema).encode)
        encoded | beam.io.WriteToTFRecord(str(folder / "examples"), file_name_suffix=".gz")
    return Transformed(faces, rows, tft.TFTransformOutput(str(graph)), str(folder / "examples*.gz"))
