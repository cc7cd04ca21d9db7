"""What the tests of serving share: a tiny SavedModel in versions that answer differently."""

import dataclasses
import pathlib
import shutil

import cv2
import keras
import numpy as np
import pytest
from matplotlib import cbook

from muwnet_fer.models.muwnet import export, preprocessing
from muwnet_fer.models.muwnet import model as muwnet_model
from muwnet_fer.tests.serving import videos


@pytest.fixture(scope="session")
def server_models(tiny_config, server_faces, tmp_path_factory) -> list[pathlib.Path]:
    """SavedModels of three seeds; never changed: server_process.publish copies them."""
    folder = tmp_path_factory.mktemp("server_models")
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = muwnet_model.build_muwnet(tiny_config)
        # Untrained, it would give all faces much the same probabilities.
        head = model.get_layer(muwnet_model.LOGITS)
        features = keras.Model(model.input, head.input)(server_faces, training=False).numpy()
        kernel = head.kernel.numpy() * (2 / np.std(features @ head.kernel.numpy(), axis=0))
        head.set_weights([kernel, -np.mean(features @ kernel, axis=0)])
        module = export.ServingModule(model, preprocessing.decode_images, 1.0)
        manifest = {"muwnet": dataclasses.asdict(tiny_config), "temperature": 1.0}
        export.save(module, manifest, str(folder / str(seed)))
    return [folder / str(seed) for seed in range(3)]


@pytest.fixture(scope="session")
def server_faces() -> np.ndarray:
    """Eight faces of random patches, uint8 [8, 48, 48]."""
    patches = np.random.default_rng(1).integers(0, 256, (8, 6, 6))
    return np.kron(patches, np.ones((1, 8, 8))).astype(np.uint8)


@pytest.fixture(scope="session")
def server_pngs(server_faces) -> list[bytes]:
    """The same as PNG files."""
    return [cv2.imencode(".png", face)[1].tobytes() for face in server_faces]


@pytest.fixture(scope="session")
def client_model_dir(server_models, tmp_path_factory) -> pathlib.Path:
    """A folder with one version, 1."""
    base_path = tmp_path_factory.mktemp("client_model")
    shutil.copytree(server_models[0], base_path / "1")
    return base_path


@pytest.fixture(scope="session")
def client_faces(server_faces) -> np.ndarray:
    """Six faces, uint8 [6, 48, 48]."""
    return server_faces[:6]


@pytest.fixture(scope="session")
def client_portrait() -> pathlib.Path:
    """A photograph of one person, 512x600 pixels, that comes with matplotlib."""
    return pathlib.Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="session")
def webcam_model(tiny_config, tmp_path_factory) -> pathlib.Path:
    """A SavedModel that takes no two patches for the same: of noise it gives all labels alike."""
    keras.utils.set_random_seed(1)
    model = muwnet_model.build_muwnet(tiny_config)
    random = np.random.default_rng(1)
    faces = np.stack([videos.draw_noise(random) for _ in range(256)])
    module = export.ServingModule(model, preprocessing.decode_images, 1.0)
    logits = np.log(module.predict_faces(faces)["probabilities"])
    kernel, bias = model.get_layer(muwnet_model.LOGITS).get_weights()
    logits -= logits.mean(axis=1, keepdims=True)
    bias -= logits.mean(axis=0)
    spread = logits.std(axis=0).mean()
    weights = [2 * kernel / spread, 2 * bias / spread]
    model.get_layer(muwnet_model.LOGITS).set_weights(weights)
    path = tmp_path_factory.mktemp("webcam") / "model"
    manifest = {"muwnet": dataclasses.asdict(tiny_config), "temperature": 1.0}
    export.save(export.ServingModule(model, preprocessing.decode_images, 1.0), manifest, str(path))
    return path
