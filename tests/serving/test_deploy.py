"""The files for TensorFlow Serving: valid by the schemas of those who read them, and of one mind.

No container is started here.
"""

import http.server
import pathlib
import re
import subprocess
import threading

import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers
from tensorflow_serving.config import model_server_config_pb2

from muwnet_fer.data import model_config
from muwnet_fer.tests import commands

DEPLOY = commands.ROOT / "serving" / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# model_servers/main.cc, those that the manifests use.
FLAGS = {
    "allow_version_labels_for_unavailable_models": "bool",
    "batching_parameters_file": "string",
    "enable_batching": "bool",
    "grpc_channel_arguments": "string",
    "grpc_max_threads": "int32",
    "model_config_file": "string",
    "model_config_file_poll_wait_seconds": "int32",
    "monitoring_config_file": "string",
    "num_load_threads": "int32",
    "num_unload_threads": "int32",
    "rest_api_num_threads": "int32",
    "rest_api_timeout_in_ms": "int32",
    "tensorflow_inter_op_parallelism": "int64",
    "tensorflow_intra_op_parallelism": "int64",
}
_FLAG_VALUES = {"bool": r"true|false", "int32": r"\d+", "int64": r"\d+", "string": r".+"}


def load(path: pathlib.Path) -> dict:
    return yaml.safe_load(path.read_text())


def load_manifest(name: str) -> dict:
    return load(DEPLOY / "kubernetes" / f"{name}.yaml")


def get_service() -> dict:
    return load(COMPOSE)["services"]["serving"]


def get_pod() -> dict:
    return load_manifest("deployment")["spec"]["template"]


def get_container() -> dict:
    (container,) = get_pod()["spec"]["containers"]
    return container


def read_flags(arguments: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


# === Schemas ===


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_schemas_take_the_manifests(path, version):
    kubernetes_validate.validate(load(path), version, strict=True)


def test_kubernetes_schemas_refuse_a_misspelt_field():
    manifest = load_manifest("deployment")
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


def check_compose(path: pathlib.Path) -> subprocess.CompletedProcess:
    command = [commands.BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_compose_specification_takes_the_compose_file(tmp_path):
    valid = check_compose(COMPOSE)
    assert valid.returncode == 0, valid.stdout
    misspelt = tmp_path / "compose.yaml"
    misspelt.write_text(COMPOSE.read_text().replace("read_only: true", "readonly: true"))
    assert "readonly" in check_compose(misspelt).stdout


def test_kustomization_takes_every_manifest_and_the_files_that_pods_mount():
    kustomization = load(DEPLOY / "kustomization.yaml")
    assert {DEPLOY / name for name in kustomization["resources"]} == set(MANIFESTS)
    (generator,) = kustomization["configMapGenerator"]
    assert all((DEPLOY / name).is_file() for name in generator["files"])
    volumes = {volume["name"]: volume for volume in get_pod()["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == generator["name"]


# === TensorFlow Serving's own files ===


def make_message(name: str, fields: dict, nested: dict | None = None):
    """Returns a message class of proto3; fields are `name: (label, type or full type name)`."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package="test", syntax="proto3", dependency=[wrappers.DESCRIPTOR.name]
    )
    for message_name, message_fields in {**(nested or {}), name: fields}.items():
        message = file.message_type.add(name=message_name)
        for number, (field_name, (label, kind)) in enumerate(message_fields.items(), 1):
            field = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = field.TYPE_MESSAGE, kind
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))


_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED


def read_batching():
    """Parses by the fields of session_bundle_config.proto, which no Python package has."""
    integer = (_ONE, ".google.protobuf.Int64Value")
    batching_parameters = make_message(
        "BatchingParameters",
        {
            "max_batch_size": integer,
            "batch_timeout_micros": integer,
            "max_enqueued_batches": integer,
            "num_batch_threads": integer,
            "thread_pool_name": (_ONE, ".google.protobuf.StringValue"),
            "allowed_batch_sizes": (_MANY, _Field.TYPE_INT64),
        },
    )
    text = (DEPLOY / "batching_parameters.pbtxt").read_text()
    return text_format.Parse(text, batching_parameters())


def test_batching_parameters_keep_tensorflow_servings_rules():
    """Those of bundle_factory_util.cc (WrapSessionForBatching): else the server does not start."""
    parameters = read_batching()
    sizes = list(parameters.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == parameters.max_batch_size.value
    assert parameters.max_enqueued_batches.value > 0
    # A batch runs on the threads of the limit; more batches at once would share them.
    flags = read_flags(get_container()["args"])
    assert str(parameters.num_batch_threads.value) == flags["tensorflow_intra_op_parallelism"]


def test_every_waiting_request_has_a_thread():
    """Single requests fill a batch only where as many wait as it holds."""
    flags = read_flags(get_container()["args"])
    assert int(flags["grpc_max_threads"]) >= read_batching().max_batch_size.value


def test_prometheus_finds_the_metrics_where_the_pods_say():
    monitoring_config = make_message(
        "MonitoringConfig",
        {"prometheus_config": (_ONE, ".test.PrometheusConfig")},
        {
            "PrometheusConfig": {
                "enable": (_ONE, _Field.TYPE_BOOL),
                "path": (_ONE, _Field.TYPE_STRING),
            }
        },
    )
    config = text_format.Parse((DEPLOY / "monitoring.pbtxt").read_text(), monitoring_config())
    assert config.prometheus_config.enable
    annotations = get_pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == config.prometheus_config.path
    ports = {port["name"]: port["containerPort"] for port in get_container()["ports"]}
    assert annotations["prometheus.io/port"] == str(ports["rest"])


def test_the_example_of_a_model_config_is_what_our_commands_write(tmp_path):
    example = (DEPLOY / "model_config.example.pbtxt").read_text()
    path = tmp_path / model_config.FILE_NAME
    for number in (1732200000, 1732300000, 1732400000):
        version = pathlib.Path("/models/serving_model", str(number))
        model_config.label_pushed(path, model_server_config_pb2.ModelServerConfig, version, 0)
        if number == 1732300000:
            with model_config.edit(path, model_server_config_pb2.ModelServerConfig) as model:
                model_config.set_label(model, model_config.STABLE, number)
    written, shown = (
        text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        for text in (path.read_text(), example)
    )
    assert written == shown


# === One mind ===


def test_the_image_is_the_release_that_the_lock_has_the_messages_of():
    lock = (commands.ROOT / "requirements" / "lock-py311.txt").read_text()
    version = re.search(r"^tensorflow-serving-api==(.+)$", lock, re.M)[1]
    assert get_container()["image"] == get_service()["image"] == f"tensorflow/serving:{version}"


def test_flags_are_tensorflow_servings_and_the_same_in_both():
    compose, pod = (
        read_flags(arguments) for arguments in (get_service()["command"], get_container()["args"])
    )
    for name, value in pod.items():
        assert re.fullmatch(_FLAG_VALUES[FLAGS[name]], value), name
    del compose["model_config_file"], pod["model_config_file"]
    assert compose == pod


def test_servers_poll_as_often_as_the_pusher_thinks():
    """Between its two steps it waits for every server to have read the first."""
    flags = read_flags(get_container()["args"])
    assert flags["model_config_file_poll_wait_seconds"] == str(model_config.POLL_SECONDS)
    assert flags["allow_version_labels_for_unavailable_models"] == "true"


def test_files_that_flags_name_are_mounted():
    flags = read_flags(get_container()["args"])
    mounts = {mount["mountPath"]: mount for mount in get_container()["volumeMounts"]}
    assert flags["model_config_file"] == f"/models/{model_config.FILE_NAME}"
    assert mounts["/models"]["readOnly"]
    targets = {volume["target"] for volume in get_service()["volumes"]}
    for name in ("batching_parameters_file", "monitoring_config_file"):
        path = pathlib.Path(flags[name])
        assert str(path.parent) in mounts
        assert (DEPLOY / path.name).is_file()
        assert flags[name] in targets
    assert all(volume["read_only"] for volume in get_service()["volumes"])


def test_all_manifests_speak_of_the_same_pods():
    labels = get_pod()["metadata"]["labels"]
    deployment = load_manifest("deployment")
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert load_manifest("service")["spec"]["selector"] == labels
    assert load_manifest("disruption_budget")["spec"]["selector"]["matchLabels"] == labels
    assert load_manifest("network_policy")["spec"]["podSelector"]["matchLabels"] == labels
    target = load_manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # or each apply would undo the autoscaler's
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in get_pod()["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == [load_manifest("volume_claim")["metadata"]["name"]]


def test_a_disruption_leaves_a_pod_at_the_fewest():
    budget = load_manifest("disruption_budget")["spec"]["maxUnavailable"]
    assert load_manifest("autoscaler")["spec"]["minReplicas"] > budget


def test_ports_are_named_as_the_others_name_them():
    ports = {port["name"] for port in get_container()["ports"]}
    assert {port["targetPort"] for port in load_manifest("service")["spec"]["ports"]} == ports
    probes = [get_container()[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["httpGet"]["port"] for probe in probes} == {"rest"}
    rules = load_manifest("network_policy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports


def test_probes_ask_what_tensorflow_serving_answers():
    """Paths by kModelStatusApiRegex of model_servers/http_rest_api_util.cc."""
    status = (
        r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:\/(metadata))?"
    )
    found = {
        kind: re.fullmatch(status, get_container()[f"{kind}Probe"]["httpGet"]["path"]).groups()
        for kind in ("startup", "readiness", "liveness")
    }
    assert found == {
        "startup": (model_config.MODEL_NAME, None, None, None),
        "readiness": (model_config.MODEL_NAME, None, model_config.STABLE, "metadata"),
        "liveness": (model_config.MODEL_NAME, None, None, None),
    }
    readiness = get_container()["readinessProbe"]["httpGet"]["path"]
    assert f"GET {readiness} HTTP" in get_service()["healthcheck"]["test"][-1]


def test_nothing_runs_as_root_or_writes():
    pod, container, service = get_pod()["spec"], get_container(), get_service()
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["user"] == "${MUWNET_USER:-65534:65534}"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_a_pod_goes_on_answering_until_it_is_sent_nothing_more():
    pod = get_pod()["spec"]
    (container,) = pod["containers"]
    _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(seconds) >= 10


# === Compose's health check, in a real bash ===


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers the stable version's metadata with the server's `status`."""

    def do_GET(self):
        stable = self.path == "/v1/models/muwnet/labels/stable/metadata"
        self.send_response(self.server.status if stable else 400)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (404, False), (503, False), (None, False)]
)
def test_the_health_check_tells_a_loaded_version(status, healthy):
    kind, *command = get_service()["healthcheck"]["test"]
    assert kind == "CMD"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.status = status
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        port = server.server_port
        if status is None:
            server.shutdown()
            server.server_close()
        # Compose makes one $ of two.
        command[-1] = command[-1].replace("$$", "$").replace("/8501", f"/{port}")
        assert (subprocess.run(command, timeout=10).returncode == 0) == healthy
    finally:
        server.shutdown()
        server.server_close()
