"""Opens a connection to a server, by TLS where authorities to trust are given."""

import os
from collections.abc import Sequence

# gRPC 1.65 reports every connection that ends on standard error; read when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
import grpc  # noqa: E402


def open_channel(
    address: str, root_certificates: bytes | None = None, options: Sequence[tuple] = ()
) -> grpc.Channel:
    """Returns a channel, to be closed by the caller; it connects at the first request.

    Args:
      address: HOST:PORT, [IPv6]:PORT or unix:PATH.
      root_certificates: PEM of the authorities to trust.
      options: gRPC's, pairs of name and value.
    """
    if root_certificates is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates), options)
