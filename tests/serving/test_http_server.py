"""The REST port beside TensorFlow Serving's forms: metrics, bounds, batches, TLS, the end."""

import concurrent.futures
import contextlib
import signal
import socket
import ssl
import time

import hypothesis
import numpy as np
import psutil
import pytest
import requests
from hypothesis import strategies as st

from muwnet_fer.tests.serving import server_process, tls

DEADLINE = server_process.DEADLINE
PREFIX = ":tensorflow:serving:"


@pytest.fixture(scope="module")
def base_path(server_models, tmp_path_factory):
    """A folder with version 1."""
    path = tmp_path_factory.mktemp("models")
    server_process.publish(server_models[0], path, 1)
    return path


@pytest.fixture(scope="module")
def server(base_path):
    options = ("--max-message", "1")
    with server_process.serve("--model-dir", base_path, *options, cwd=base_path) as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.output


def post(server, document, path="/v1/models/muwnet:predict") -> requests.Response:
    return requests.post(server.rest + path, json=document, timeout=DEADLINE)


def send(connection: socket.socket, data: bytes) -> None:
    """Sends what the server may refuse, and close the connection, before it has come."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)


def read_metrics(server) -> dict[str, float]:
    page = requests.get(f"{server.rest}/monitoring/prometheus/metrics", timeout=DEADLINE)
    assert page.headers["Content-Type"].startswith("text/plain")
    lines = [line for line in page.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_count_requests_of_both_ports_by_status(server, server_faces):
    names = {
        "ok": f'{PREFIX}request_count{{model_name="muwnet",status="OK"}}',
        "refused": f'{PREFIX}request_count{{model_name="muwnet",status="INVALID_ARGUMENT"}}',
        "nobody": f'{PREFIX}request_count{{model_name="",status="NOT_FOUND"}}',
        "faces": f"{PREFIX}batching_session:processed_batch_size_sum",
        "runs": f"{PREFIX}batching_session:wrapped_run_count",
        "queued": f'{PREFIX}batching_session:queuing_latency_count{{thread_pool_name=""}}',
    }
    for entrypoint in ("GRPC", "REST"):
        for part in ("count", "sum"):
            labels = f'API="Predict",entrypoint="{entrypoint}",model_name="muwnet"'
            names[f"{entrypoint} {part}"] = f"{PREFIX}request_latency_{part}{{{labels}}}"
    before = read_metrics(server)
    server.stubs.predict(server_faces[:1])
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    start = time.monotonic()
    assert post(server, faces).status_code == 200
    elapsed = time.monotonic() - start
    assert post(server, {}).status_code == 400
    assert post(server, faces, "/v1/models/who:predict").status_code == 404
    after = read_metrics(server)
    grown = {key: after[name] - before.get(name, 0) for key, name in names.items()}
    counts = {key: value for key, value in grown.items() if not key.endswith("sum")}
    assert counts == {
        "ok": 2,
        "refused": 1,
        "nobody": 1,
        "faces": 2,
        "runs": 2,
        "queued": 2,
        "GRPC count": 1,
        "REST count": 1,
    }
    assert 0 < grown["REST sum"] < 1e6 * elapsed  # microseconds
    assert not any("who" in name for name in after)  # clients make up no labels


def test_a_body_is_bounded_as_a_message_is(server):
    limit = 2**20
    for path in ("/v1/models/muwnet:predict", "/faces"):
        fits = requests.post(server.rest + path, data=bytes(limit), timeout=DEADLINE)
        assert fits.status_code == 400
        for data in (bytes(limit + 1), bytes(16 * limit), iter([bytes(limit), b"1"])):
            response = requests.post(server.rest + path, data=data, timeout=DEADLINE)
            assert response.status_code == 413
            assert response.json() == {"error": f"expected a body of at most {limit} bytes"}


def test_concurrent_requests_are_batched(base_path, server_faces):
    options = ("--batch-timeout", "500")
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    with server_process.serve("--model-dir", base_path, *options, cwd=base_path) as server:
        before = read_metrics(server)
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: post(server, faces), range(8)))
        after = read_metrics(server)
    assert {answer.status_code for answer in answers} == {200}
    rows = [answer.json()["predictions"][0]["probabilities"] for answer in answers]
    np.testing.assert_allclose(rows, [rows[0]] * 8, atol=1e-5)  # batches of any size
    runs = f"{PREFIX}batching_session:wrapped_run_count"
    assert after[runs] - before[runs] < 8


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([{"b64": "AAAA"}, {"b64": "?"}, {"image": 1}, [[0] * 48] * 48]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(["predict_faces", "predict_images"]) | json_values,
        "instances": json_values,
        "inputs": json_values,
    },
)
names = st.sampled_from(["muwnet", "nobody"]) | st.text(max_size=10)
paths = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["/v1/models/", "/V1/models/", "/v1/", "/", "/faces"]),
    names,
    st.sampled_from(["", "/versions/1", "/versions/-1", "/labels/stable", "/metadata", "//"]),
    st.sampled_from([":predict", ":PREDICT", "", ":classify", "/metadata", "?"])
    | st.text(max_size=5),
)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
    paths,
    st.binary(max_size=200) | documents,
)
def test_whatever_is_sent_gets_a_known_status(server, method, path, body):
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    if isinstance(body, dict):
        try:
            requests.Request(method, server.rest, **sent).prepare()
        except (requests.exceptions.InvalidJSONError, UnicodeEncodeError):
            hypothesis.reject()
    response = requests.request(
        method, server.rest + path, timeout=DEADLINE, allow_redirects=False, **sent
    )
    assert response.status_code in {200, 400, 404, 405, 501}, (path, body, response.text)
    if response.status_code != 200:
        assert isinstance(response.json()["error"], str)


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(documents)
def test_whatever_is_asked_to_predict_gets_a_known_status(server, document):
    try:
        requests.Request("POST", server.rest, json=document).prepare()
    except (requests.exceptions.InvalidJSONError, UnicodeEncodeError):
        hypothesis.reject()
    assert post(server, document).status_code in {200, 400}


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(st.binary(max_size=200))
def test_what_is_no_http_leaves_the_server_as_it_was(server, content):
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
        connection.sendall(content)
    assert requests.get(f"{server.rest}/v1/models/muwnet", timeout=DEADLINE).status_code == 200


def test_the_end_waits_for_requests_under_way(base_path, server_faces):
    # The batch waits for a second: the request is under way when the signal comes.
    options = ("--batch-timeout", "1000")
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    with server_process.serve("--model-dir", base_path, *options, cwd=base_path) as server:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            answer = threads.submit(post, server, faces)
            time.sleep(0.4)
            assert not answer.done()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            with pytest.raises(requests.ConnectionError):
                post(server, faces)
            assert answer.result().status_code == 200
        assert server.process.wait(30) == 0


def test_tls_is_spoken_on_both_ports(base_path, tmp_path):
    key, certificate = tls.write_pair(tmp_path)
    options = ("--tls-key", key, "--tls-certificate", certificate)
    with server_process.serve("--model-dir", base_path, *options, cwd=base_path) as server:
        assert server.rest.startswith("https://")
        url = f"{server.rest}/v1/models/muwnet"
        response = requests.get(url, timeout=DEADLINE, verify=str(certificate))
        assert response.json()["model_version_status"][0]["state"] == "AVAILABLE"
        with pytest.raises(requests.ConnectionError):
            requests.get(url.replace("https", "http", 1), timeout=DEADLINE)
        host, _, port = server.rest.removeprefix("https://").rpartition(":")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            with pytest.raises(OSError):
                old.wrap_socket(connection)


def test_more_requests_than_may_wait_are_told_to_come_back(base_path, server_faces):
    # The batch waits for a second, in which one request is all that may be under way.
    options = ("--batch-timeout", "1000", "--max-queue", "1")
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    with server_process.serve("--model-dir", base_path, *options, cwd=base_path) as server:
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: post(server, faces), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
    refused = {answer.json().get("error") for answer in answers} - {None}
    assert refused == {"The batch scheduling queue to which this task was submitted is full"}


def test_bodies_that_are_kept_at_once_are_bounded(base_path, server_faces):
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    head = b"POST /v1/models/muwnet:predict HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{"
    options = ("--model-dir", base_path, "--max-queue", "1")
    with server_process.serve(*options, cwd=base_path) as server:
        host, _, port = server.rest.removeprefix("http://").rpartition(":")
        kept = []
        with contextlib.ExitStack() as connections:

            def is_full_with_another() -> bool:
                # One by one: a connection that comes beside the request may be what is refused.
                connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
                kept.append(connections.enter_context(connection))
                connection.sendall(head)
                return post(server, faces).status_code == 503

            server_process.wait_until(is_full_with_another)
            assert 18 <= len(kept) < 30
            assert requests.get(f"{server.rest}/v1/models/muwnet", timeout=DEADLINE).ok
        server_process.wait_until(lambda: post(server, faces).status_code == 200)


def test_bodies_that_nobody_reads_are_not_kept(server):
    process = psutil.Process(server.process.pid)
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    head = "PUT /v1/models/muwnet HTTP/1.1\r\nHost: here\r\nContent-Length: 4000000\r\n\r\n"
    before = process.memory_info().rss
    with contextlib.ExitStack() as connections:
        for _ in range(60):
            connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
            send(connections.enter_context(connection), head.encode() + bytes(3_000_000))
        assert requests.get(f"{server.rest}/v1/models/muwnet", timeout=DEADLINE).ok
        assert process.memory_info().rss - before < 90e6  # half of what was sent


def test_a_length_of_thousands_of_digits_is_a_clients_fault(server):
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    head = f"POST /v1/models/muwnet:predict HTTP/1.1\r\nHost: here\r\nContent-Length: {'9' * 5000}"
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(100).split()[1] in (b"400", b"413")


def test_what_is_nested_as_deep_as_python_reads_is_a_clients_fault(server):
    for depth in range(900, 1000, 5):
        nested = "[" * depth + '"x"' + "]" * depth
        data = '{"signature_name": "predict_faces", "instances": ' + nested + "}"
        response = requests.post(
            f"{server.rest}/v1/models/muwnet:predict", data=data, timeout=DEADLINE
        )
        assert response.status_code == 400, depth


def test_clients_that_leave_early_are_forgotten(server, server_faces):
    faces = {"signature_name": "predict_faces", "instances": server_faces[:1].tolist()}
    body = requests.Request("POST", server.rest, json=faces).prepare().body
    request = "POST /v1/models/muwnet:predict HTTP/1.1\r\nHost: here"
    head = f"{request}\r\nContent-Length: {len(body)}\r\n\r\n"
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    for length in (0, 100, len(body)):  # of the body, before the connection is closed
        for _ in range(100):  # more than the server keeps under way
            with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
                connection.sendall(head.encode() + body[:length])
    server_process.wait_until(lambda: post(server, faces).status_code == 200)
    assert server.process.poll() is None


def test_clients_that_leave_early_leave_no_bodies_behind(server):
    process = psutil.Process(server.process.pid)
    request = "POST /v1/models/muwnet:predict HTTP/1.1\r\nHost: here"
    head = f"{request}\r\nContent-Length: 4000000\r\n\r\n"
    host, _, port = server.rest.removeprefix("http://").rpartition(":")
    before = process.memory_info().rss
    for _ in range(60):
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            send(connection, head.encode() + bytes(3_000_000))
    assert requests.get(f"{server.rest}/v1/models/muwnet", timeout=DEADLINE).ok
    assert process.memory_info().rss - before < 90e6  # half of what was sent
