"""Stands for Kaggle on this machine: what the real client asks it for, it asks over HTTPS; no test.

The client reaches it as an HTTPS proxy that answers in Kaggle's place, with a certificate of its
own: `environment` holds what makes a process take both.
"""

import contextlib
import dataclasses
import datetime
import http.server
import json
import pathlib
import ssl
import threading
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOSTS = ("api.kaggle.com", "storage.googleapis.com")
TOKEN = "a-token"


@dataclasses.dataclass
class StandIn:
    environment: dict[str, str]
    files: dict[str, bytes]  # by the names that the competition lists
    status: int = 200
    asked: list[str] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def serve(folder: pathlib.Path, files: dict[str, bytes], status: int = 200) -> Iterator[StandIn]:
    """Answers each request with `status`; where that is 200, with the file or a 404."""
    certificate = _write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_POST(self):
            """Kaggle's own answer: where in its store the file lies."""
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stand_in.asked.append(content["fileName"])
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self.answer(401)
            elif stand_in.status != 200:
                self.answer(stand_in.status)
            elif content["fileName"] not in stand_in.files:
                self.answer(404)
            else:
                path = content["fileName"]
                if stand_in.files[path].startswith(b"PK"):
                    path += ".zip"  # as Kaggle stores large CSVs
                self.answer(302, Location=f"https://{_HOSTS[1]}/{path}?signed=yes")

        def do_GET(self):
            name = self.path.split("?")[0].strip("/").removesuffix(".zip")
            self.answer(200, stand_in.files[name], **{"Content-Type": "application/octet-stream"})

        def answer(self, status: int, content: bytes = b"", **headers: str):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in = StandIn(make_environment(folder, server.server_port, certificate), files, status)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()


def make_environment(home: pathlib.Path, port: int, certificate: pathlib.Path) -> dict[str, str]:
    """Variables for a user with a token, to whom Kaggle is at a port of this machine."""
    proxy = f"http://127.0.0.1:{port}"
    return {
        **make_environment_without_credentials(home),
        "KAGGLE_API_TOKEN": TOKEN,
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": "",
        "no_proxy": "",
        "REQUESTS_CA_BUNDLE": str(certificate),
    }


def make_environment_without_credentials(home: pathlib.Path) -> dict[str, str]:
    """Variables that hide what the machine's user has; empty ones count as missing."""
    names = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
    return {**dict.fromkeys(names, ""), "HOME": str(home), "KAGGLE_CONFIG_DIR": str(home)}


def _write_certificate(folder: pathlib.Path) -> pathlib.Path:
    """Writes a key and its certificate for _HOSTS, valid for an hour, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kaggle's stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, _HOSTS))), False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "stand-in.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
