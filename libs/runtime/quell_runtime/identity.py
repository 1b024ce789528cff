"""Who calls: the SPIFFE id in the caller's certificate, and nothing else that anybody says."""

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol, TypeAlias

from cryptography import x509
from quell.annotations.v1 import annotations_pb2

from quell_runtime.errors import IdentityError

Caller: TypeAlias = annotations_pb2.Caller.ValueType

SEGMENTS: Mapping[str, Caller] = {
    "operator": annotations_pb2.CALLER_OPERATOR,
    "detector": annotations_pb2.CALLER_DETECTOR,
    "service": annotations_pb2.CALLER_SERVICE,
    "action-center": annotations_pb2.CALLER_ACTION_CENTER,
    "agent": annotations_pb2.CALLER_AGENT,
    "mail-filter": annotations_pb2.CALLER_MAIL_FILTER,
}
"""How each kind of caller is written in an id."""

_SEGMENT_OF = {caller: segment for segment, caller in SEGMENTS.items()}
# A name is one path segment (SPIFFE ID, 2.2); `.` and `..` alone are none. A detector's has no dot, since
# investigations are called `{detector}.{id}`.
_ID = re.compile(rf"spiffe://([a-z0-9._-]{{1,255}})/({'|'.join(SEGMENTS)})/(?!\.\.?$)([A-Za-z0-9._-]{{1,128}})")
_TLS = b"TLSv1.3"


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller: its kind, its deployment, and its name within both."""

    caller: Caller
    deployment: str
    name: str

    def __str__(self) -> str:
        """Return the SPIFFE id."""
        return f"spiffe://{self.deployment}/{_SEGMENT_OF[self.caller]}/{self.name}"


class Asked(Protocol):
    """The part of a gRPC context that tells who is at the other end."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what the handshake found."""


def parse(text: str) -> Identity:
    """Read a SPIFFE id.

    Raises:
        IdentityError: It is none of ours.

    """
    match = _ID.fullmatch(text)
    if match is None:
        raise IdentityError("the id is not spiffe://DEPLOYMENT/KIND/NAME with a kind that Quell knows")
    deployment, segment, name = match.groups()
    if segment == "detector" and "." in name:
        raise IdentityError("a detector's name has no dot")
    return Identity(SEGMENTS[segment], deployment, name)


def of(context: Asked, deployment: str, now: datetime) -> Identity:
    """Return who calls, by the certificate of the connection.

    Only `peer_spiffe_id` counts: gRPC leaves it out where a certificate has two. The certificate's end is looked at
    for each call, since gRPC looks at it only when a connection begins.

    Raises:
        IdentityError: There is no certificate, or it is another deployment's, or over, or it came by an older TLS.

    """
    found = context.auth_context()
    ids = tuple(found.get("peer_spiffe_id", ()))
    if len(ids) != 1:
        raise IdentityError("a client certificate with exactly one SPIFFE id is needed")
    if tuple(found.get("ssl_tls_version", ())) != (_TLS,):
        raise IdentityError("TLS 1.3 is needed", tls_version=_first(found, "ssl_tls_version"))
    identity = parse(ids[0].decode("utf-8", "replace"))
    if identity.deployment != deployment:
        raise IdentityError("the certificate is of another deployment", deployment=identity.deployment)
    certificates = tuple(found.get("x509_pem_cert", ()))
    if len(certificates) != 1 or _not_after(certificates[0]) <= now:
        raise IdentityError("the certificate is past its end: renew it")
    return identity


def _first(found: Mapping[str, Iterable[bytes]], key: str) -> str:
    return next(iter(found.get(key, ())), b"none").decode("ascii", "replace")


@lru_cache(maxsize=1024)
def _not_after(pem: bytes) -> datetime:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


_caller: ContextVar[Identity] = ContextVar("caller")


def caller() -> Identity:
    """Return who calls the RPC that is being answered."""
    return _caller.get()


def answering(identity: Identity) -> None:
    """Note who calls, for the rest of this task."""
    _caller.set(identity)
