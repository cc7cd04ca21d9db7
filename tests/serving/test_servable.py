"""One version: loaded, warmed up by its own requests, answering as TensorFlow's session does."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_log_pb2

from muwnet_fer.serving import apis
from muwnet_fer.serving.server import batching, errors, model_config, model_manager, servable
from muwnet_fer.serving.server import service as server_service
from muwnet_fer.tests.serving import server_process

OPTIONS = batching.BatchingOptions()


@pytest.fixture
def version(server_models, tmp_path):
    """A version's folder that a test may change."""
    return server_process.publish(server_models[0], tmp_path, 1)


@pytest.fixture
def runs(monkeypatch):
    """The rows of every run of a servable that is loaded."""
    shapes = []
    submit = batching.Batcher.submit

    def record(self, rows, deadline=None):
        shapes.append((rows.dtype.name, rows.shape))
        return submit(self, rows, deadline)

    monkeypatch.setattr(batching.Batcher, "submit", record)
    return shapes


def write_warm_up(version, *logs):
    path = version / servable.WARMUP_REQUESTS
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def make_log(*arguments) -> prediction_log_pb2.PredictionLog:
    request = server_process.make_request(*arguments)
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )


def test_without_requests_every_signature_is_warmed_up_by_a_face(version, runs):
    (version / servable.WARMUP_REQUESTS).unlink()
    loaded = servable.Servable(version, 1, OPTIONS)
    assert set(loaded.signatures) == {
        "predict_faces",
        "predict_images",
        "serving_default",
        "ten_views",
    }
    assert sorted(runs) == [("object", (1,))] * 3 + [("uint8", (1, 48, 48))]


def test_warm_up_requests_of_the_version_are_run_instead(version, runs, server_faces, server_pngs):
    write_warm_up(version, make_log(server_faces[:3]), make_log(server_pngs[:2], "predict_images"))
    servable.Servable(version, 1, OPTIONS)
    assert runs == [("uint8", (3, 48, 48)), ("object", (2,))]


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        ([make_log([b"no image"], "predict_images")], "expected PNG or JPEG"),
        ([make_log([b""], "dance")], "expected requests for the model's signatures .*, got dance"),
        ([prediction_log_pb2.PredictionLog()], "expected Predict requests .*, got None"),
        ([make_log(np.zeros((1, 48, 48), np.uint8))] * 1001, "expected at most 1000 requests"),
    ],
)
def test_version_that_fails_at_its_warm_up_is_broken(version, logs, message):
    write_warm_up(version, *logs)
    with pytest.raises(servable.LoadError, match=message):
        servable.Servable(version, 1, OPTIONS)


@pytest.mark.parametrize("spoil", ["saved_model.pb", "variables/variables.index", "nothing"])
def test_what_is_no_saved_model_is_broken(version, spoil):
    if spoil == "nothing":
        shutil.rmtree(version)
    else:
        (version / spoil).write_bytes(b"junk")
    with pytest.raises(servable.LoadError, match=f"a SavedModel in {version}"):
        servable.Servable(version, 1, OPTIONS)


def test_model_of_other_signatures_is_broken(tmp_path):
    module = tf.Module()
    module.add = tf.function(lambda a, b: {"sum": a + b})
    spec = tf.TensorSpec([None], tf.float32)
    tf.saved_model.save(module, str(tmp_path / "1"), module.add.get_concrete_function(spec, spec))
    with pytest.raises(servable.LoadError, match="serving_default to have one input, got"):
        servable.Servable(tmp_path / "1", 1, OPTIONS)


class TensorFlowSession:
    """TensorFlow Serving's own path: the SavedModel loader of TensorFlow 1 and a session."""

    def __init__(self, path):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        self.signatures = loaded.signature_def

    def run(self, signature: str, array) -> dict:
        """Feeds without the checks of Python's session.run, which a C++ server does not have."""
        definition = self.signatures[signature]
        ((_, fed),) = definition.inputs.items()
        names = sorted(definition.outputs)
        options = config_pb2.CallableOptions(
            feed=[fed.name], fetch=[definition.outputs[name].name for name in names]
        )
        return dict(zip(names, self.session._make_callable_from_options(options)(array)))  # noqa: B905


@pytest.fixture(scope="module")
def both(server_models, tmp_path_factory):
    """Our service and a session, of the same SavedModel."""
    base_path = tmp_path_factory.mktemp("models")
    server_process.publish(server_models[1], base_path, 1)
    config = {"muwnet": model_config.Model("muwnet", base_path)}
    manager = model_manager.ModelManager(lambda: config, OPTIONS)
    manager.start()
    yield server_service.Service(manager), TensorFlowSession(base_path / "1")
    manager.close()


def ask(service, signature: str, array):
    key = "image" if signature.startswith("predict") else "examples"
    theirs = server_process.make_request(array, signature, key)
    response = service.predict(apis.PredictRequest.FromString(theirs.SerializeToString()))
    outputs = response.outputs.items()
    return {
        name: tf.make_ndarray(tf.make_tensor_proto(0).FromString(proto.SerializeToString()))
        for name, proto in outputs
    }


def test_answers_are_those_of_the_session(both, server_faces, server_pngs):
    service, session = both
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))}
            )
        ).SerializeToString()
        for png in server_pngs
    ]
    for signature, rows in {
        "predict_faces": server_faces,
        "predict_images": np.array(server_pngs, object),
        "serving_default": np.array(examples, object),
        "ten_views": np.array(examples, object),
    }.items():
        ours, theirs = ask(service, signature, rows), session.run(signature, rows)
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose(ours["probabilities"], theirs["probabilities"], atol=1e-6)
        np.testing.assert_array_equal(ours["class_id"], theirs["class_id"])
        np.testing.assert_array_equal(ours["label"], theirs["label"])
        for name, array in ours.items():
            assert array.dtype == theirs[name].dtype


@pytest.mark.parametrize(
    ("signature", "array"),
    [
        ("predict_images", np.array([b"no image"], object)),
        ("serving_default", np.array([b"no Example"], object)),
        ("predict_faces", np.zeros((1, 48, 48), np.float32)),
        ("predict_faces", np.zeros((2, 40, 40), np.uint8)),
        ("predict_faces", np.zeros((48, 48), np.uint8)),
        ("predict_faces", np.zeros((0, 48, 48), np.uint8)),
        ("predict_images", np.zeros(0, object)),
    ],
)
def test_refusals_have_the_sessions_code(both, signature, array):
    service, session = both
    proto = tf.constant(array, tf.string) if array.dtype == object else array
    with pytest.raises(errors.ServingError) as ours:
        ask(service, signature, proto)
    with pytest.raises(tf.errors.OpError) as theirs:
        session.run(signature, array)
    assert ours.value.code.value[0] == theirs.value.error_code
