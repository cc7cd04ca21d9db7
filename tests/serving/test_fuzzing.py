"""Nothing a client sends stops the server, or gets an answer that is not a known status."""

import grpc
import hypothesis
import numpy as np
import pytest
from google.protobuf import message
from hypothesis import strategies as st

from muwnet_fer.serving import apis, tensors
from muwnet_fer.tests.serving import server_process

METHODS = (apis.PREDICT, apis.GET_MODEL_METADATA, apis.GET_MODEL_STATUS, apis.RELOAD_CONFIG)
SIGNATURES = ["predict_faces", "predict_images", "serving_default", "ten_views", ""]
# What a client's fault may be answered with; INTERNAL is for bytes that are no message, alone.
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
SETTINGS = hypothesis.settings(max_examples=150, deadline=None, derandomize=True)

names = st.sampled_from(["muwnet", "", "nobody"]) | st.text(max_size=20)
int64s = st.integers(-(2**63), 2**63 - 1)
int32s = st.integers(-(2**31), 2**31 - 1)
sizes = st.sampled_from([0, 1, 2, 3, 47, 48, -1]) | int64s


@st.composite
def tensor_protos(draw, pngs):
    proto = apis.TensorProto()
    # An enum of proto3 may hold numbers that have no name.
    proto.dtype = draw(st.sampled_from([tensors.UINT8, tensors.STRING]) | st.integers(0, 1000))
    proto.tensor_shape.unknown_rank = draw(st.booleans())
    shape = draw(st.sampled_from([[1, 48, 48], [2, 48, 48], [1], [2]]) | st.lists(sizes))
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = draw(st.sampled_from([b"", bytes(2304)]) | st.binary(max_size=50))
    proto.int_val.extend(draw(st.lists(int32s | st.integers(0, 255), max_size=3)))
    proto.string_val.extend(
        draw(st.lists(st.sampled_from(pngs) | st.binary(max_size=50), max_size=3))
    )
    proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=2)))
    return proto


@st.composite
def nearly_right_protos(draw, pngs, takes_bytes: bool):
    """A tensor that the signature takes, but for a field or two of another tensor."""
    if takes_bytes:
        rows = np.array(draw(st.lists(st.sampled_from(pngs), min_size=1, max_size=3)), object)
    else:
        rows = np.zeros((draw(st.integers(1, 3)), 48, 48), np.uint8)
    proto, odd = tensors.to_proto(rows), draw(tensor_protos(pngs))
    fields = ["dtype", "tensor_shape", "tensor_content", "int_val", "string_val", "float_val"]
    for field in draw(st.lists(st.sampled_from(fields), max_size=2, unique=True)):
        proto.ClearField(field)
        part = apis.TensorProto.FromString(odd.SerializeToString())
        for other in fields:
            if other != field:
                part.ClearField(other)
        proto.MergeFrom(part)
    return proto


@st.composite
def predict_requests(draw, pngs):
    request = apis.PredictRequest()
    request.model_spec.name = draw(names)
    request.model_spec.signature_name = draw(st.sampled_from(SIGNATURES) | st.text(max_size=20))
    choice = draw(st.sampled_from(["", "", "version", "label"]))
    if choice == "version":
        request.model_spec.version.value = draw(st.just(1) | int64s)
    elif choice == "label":
        request.model_spec.version_label = draw(st.text(max_size=20))
    for name in draw(st.lists(st.sampled_from(["image", "examples"]) | st.text(max_size=5))):
        request.inputs[name].CopyFrom(draw(tensor_protos(pngs)))
    request.output_filter.extend(draw(st.lists(st.sampled_from(["label", "probabilities", "x"]))))
    return request


@st.composite
def spoiled(draw, content):
    """A message's bytes with some of them changed, removed or inserted."""
    content = bytearray(draw(content).SerializeToString())
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(content)


@pytest.fixture(scope="module")
def server(server_models, tmp_path_factory):
    base_path = tmp_path_factory.mktemp("models")
    server_process.publish(server_models[0], base_path, 1)
    with server_process.serve("--model-dir", base_path, cwd=base_path) as process:
        yield process


@pytest.fixture(autouse=True)
def still_answers(server, server_faces):
    """As before, after each test."""
    before = server_process.read(server.stubs.predict(server_faces))
    yield
    assert server.process.poll() is None
    after = server_process.read(server.stubs.predict(server_faces))
    np.testing.assert_allclose(after["probabilities"], before["probabilities"], atol=1e-6)
    assert "Traceback" not in server.output
    assert "A request failed" not in server.output


def send(server, method: str, content: bytes) -> grpc.StatusCode:
    call = server.stubs.channel.unary_unary(method)  # bytes to bytes
    try:
        answer = call(content, timeout=server_process.DEADLINE)
    except grpc.RpcError as error:
        return error.code()
    if method == apis.PREDICT:
        check_answer(apis.PredictResponse.FromString(answer))
    return grpc.StatusCode.OK


def check_answer(response):
    """What is answered is a whole answer, however odd the request."""
    for name, proto in response.outputs.items():
        array = tensors.to_array(proto)
        assert len(array) > 0
        if name == "probabilities":
            np.testing.assert_allclose(array.sum(axis=1), 1, atol=1e-4)


def test_requests_of_odd_tensors_and_names(server, server_pngs):
    seen = set()

    @SETTINGS
    @hypothesis.given(predict_requests(server_pngs))
    def check(request):
        code = send(server, apis.PREDICT, request.SerializeToString())
        assert code in REFUSALS | {grpc.StatusCode.OK}
        seen.add(code)

    # What is drawn changes with the code: one for each refusal is always there.
    for request in (
        server_process.make_request(server_pngs[:1], "no signature"),
        server_process.make_request(server_pngs[:1], "predict_images", name="nobody"),
        server_process.make_request([b"no image"], "predict_images"),
    ):
        check = hypothesis.example(request)(check)
    check()
    assert seen >= REFUSALS


def test_tensors_of_the_right_place(server, server_pngs):
    """Only the tensor is odd: each gets through to the model or is refused as an argument."""
    seen = set()

    @SETTINGS
    @hypothesis.given(st.sampled_from(["predict_faces", "predict_images"]), st.data())
    def check(signature, data):
        proto = data.draw(nearly_right_protos(server_pngs, signature == "predict_images"))
        request = apis.PredictRequest()
        request.model_spec.name = "muwnet"
        request.model_spec.signature_name = signature
        request.inputs["image"].CopyFrom(proto)
        code = send(server, apis.PREDICT, request.SerializeToString())
        assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OK}
        seen.add(code)

    check()
    assert len(seen) == 2


def test_bytes_that_are_no_message_or_a_spoiled_one(server, server_pngs):
    @SETTINGS
    @hypothesis.given(
        st.sampled_from(METHODS[:3]),
        st.binary(max_size=200) | spoiled(predict_requests(server_pngs)),
    )
    def check(method, content):
        code = send(server, method, content)
        if code == grpc.StatusCode.INTERNAL:
            assert method != apis.PREDICT or not is_message(apis.PredictRequest, content)
        else:
            assert code in REFUSALS | {grpc.StatusCode.OK}

    check()


def is_message(request_class, content: bytes) -> bool:
    try:
        request_class.FromString(content)
    except message.DecodeError:
        return False
    return True


def test_models_that_are_none_beside_ours(server):
    """Each config is taken, as far as it can be, and the next one again."""
    (base_path,) = {part for part in server.process.args if part.startswith("/")}

    @SETTINGS
    @hypothesis.given(
        st.dictionaries(
            st.text(max_size=3),
            st.sampled_from(["/nowhere", "/\0", "/" + "x" * 300, "/dev/null", "/" + "x/" * 3000])
            | st.text(max_size=5).map(lambda text: f"/{text}"),
            min_size=1,
            max_size=2,
        )
    )
    def check(base_paths):
        request = apis.ReloadConfigRequest()
        for name, path in {"muwnet": base_path, **base_paths}.items():
            request.config.model_config_list.config.add(
                name=name, base_path=path, model_platform="tensorflow"
            )
        assert send(server, apis.RELOAD_CONFIG, request.SerializeToString()) in {
            grpc.StatusCode.UNKNOWN
        }

    check()


def test_configs_that_are_none(server):
    """Whatever is asked of the config, the version that is served stays."""

    @SETTINGS
    @hypothesis.given(
        st.lists(
            st.tuples(
                st.sampled_from(["muwnet", "", "other"]),
                st.sampled_from(["", "relative", "/nowhere", "/\0", "/" + "x" * 300]),
                st.sampled_from(["tensorflow", "", "caffe"]),
                st.dictionaries(st.text(max_size=3), int64s, min_size=1, max_size=2),
            ),
            min_size=1,
            max_size=3,
        )
    )
    def check(entries):
        request = apis.ReloadConfigRequest()
        for name, base_path, platform, labels in entries:
            config = request.config.model_config_list.config.add(
                name=name, base_path=base_path, model_platform=platform
            )
            for label, version in labels.items():
                config.version_labels[label] = version if version != 1 else 2
        assert send(server, apis.RELOAD_CONFIG, request.SerializeToString()) in REFUSALS

    check()
