"""Dialling our services: mutual TLS, and what gRPC should not do by itself.

No retry policy comes from anywhere, since a retry that nobody asked for would do things twice; whoever calls knows
whether it may ask again. What a server has not begun (a connection that grew too old) gRPC sends again by itself.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quell_runtime import addresses
from quell_runtime.errors import ForbiddenError

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # This one is how long one try to connect may take, its handshake included; only its name is odd.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # An idle stream goes on pinging.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.use_local_subchannel_pool", 1),
)
HEARTBEAT_MS = 300_000
"""How often the other side must answer a ping."""


class CertificateStrangeError(ForbiddenError):
    """A server shows another certificate than the one that is trusted."""

    reason = "CERTIFICATE_STRANGE"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of a caller: whom it believes, and how it shows who it is."""

    ca: Path
    certificate: Path
    key: Path


def channel(
    address: str, credentials: Credentials, server_name: str = "", heartbeat_ms: int = HEARTBEAT_MS
) -> grpc.aio.Channel:
    """Open a channel. `server_name` is what the server's certificate must be for; the address's host if empty."""
    found = grpc.ssl_channel_credentials(
        credentials.ca.read_bytes(), credentials.key.read_bytes(), credentials.certificate.read_bytes()
    )
    return grpc.aio.secure_channel(address, found, options=options(server_name, heartbeat_ms))


async def pinned_channel(address: str, digest: bytes) -> grpc.aio.Channel:
    """Open a channel to whoever shows the certificate with this SHA-256, and show none: for enrolment.

    Raises:
        CertificateStrangeError: Another certificate is shown.
        OSError: Nobody can be reached there.

    """
    looking = ssl.create_default_context()
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE  # what is shown is only looked at; the channel then believes nothing else
    where = addresses.parse(address)
    _, writer = await asyncio.open_connection(where.host, where.port, ssl=looking)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    if hashlib.sha256(shown).digest() != digest:
        raise CertificateStrangeError(f"{address} does not show the certificate that was announced")
    certificate = x509.load_der_x509_certificate(shown)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    if not hosts:
        raise CertificateStrangeError(f"{address} shows a certificate that is for no name and no address")
    found = grpc.ssl_channel_credentials(certificate.public_bytes(Encoding.PEM))
    return grpc.aio.secure_channel(address, found, options=options(hosts[0]))


def options(server_name: str = "", heartbeat_ms: int = HEARTBEAT_MS) -> list[tuple[str, int | str]]:
    """Return the options of a channel of ours."""
    named: list[tuple[str, int | str]] = [("grpc.ssl_target_name_override", server_name)] if server_name else []
    return [*OPTIONS, ("grpc.keepalive_time_ms", heartbeat_ms), *named]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call failed, for people and programs. `reason` is the contract's, empty if a service didn't say."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[tuple[str, str]] = ()
    """Fields of the request and what is wrong with each."""


def problem(error: grpc.aio.AioRpcError) -> Problem:
    """Read all that an error says."""
    from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415 - an agent never needs them

    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status_pb2.Status.FromString(packed).details:
        detail.Unpack(info)
        detail.Unpack(bad)
    violations = tuple((each.field, each.description) for each in bad.field_violations)
    return Problem(error.code(), error.details() or "", info.reason, dict(info.metadata), violations)
