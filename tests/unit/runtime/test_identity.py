"""Only the one SPIFFE id of a certificate tells who calls."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from quell.annotations.v1 import annotations_pb2

from quell_runtime import identity
from quell_runtime.errors import IdentityError
from quell_runtime.identity import Identity
from quell_runtime.pki import PEM, Authority

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ANN = Identity(annotations_pb2.CALLER_OPERATOR, "example", "ann")
CERTIFICATE = Authority.make("test", NOW).issue(ANN, NOW, life=timedelta(days=1)).certificate.public_bytes(PEM)


class Handshake:
    """What a connection's handshake found."""

    def __init__(self, found: Mapping[str, Sequence[bytes]]) -> None:
        """Keep it."""
        self._found = found

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return it."""
        return self._found


GOOD: Mapping[str, Sequence[bytes]] = {
    "peer_spiffe_id": [b"spiffe://example/operator/ann"],
    "ssl_tls_version": [b"TLSv1.3"],
    "x509_pem_cert": [CERTIFICATE],
    "x509_common_name": [b"admin"],
}


def test_a_whole_handshake_tells_who_calls() -> None:
    """The common name counts for nothing."""
    assert identity.of(Handshake(GOOD), "example", NOW) == ANN


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peer_spiffe_id", ()),
        ("peer_spiffe_id", (b"spiffe://example/operator/ann", b"spiffe://example/operator/bob")),
        ("peer_spiffe_id", (b"spiffe://elsewhere/operator/ann",)),
        ("peer_spiffe_id", (b"spiffe://example/operator/\xff",)),
        ("ssl_tls_version", ()),
        ("ssl_tls_version", (b"TLSv1.2",)),
        ("x509_pem_cert", ()),
    ],
)
def test_less_than_that_tells_nobody(key: str, value: Sequence[bytes]) -> None:
    """Each part is needed."""
    with pytest.raises(IdentityError):
        identity.of(Handshake({**GOOD, key: value}), "example", NOW)


def test_a_certificate_ends_for_each_call() -> None:
    """To the second, on a connection that was opened before."""
    identity.of(Handshake(GOOD), "example", NOW + timedelta(hours=23))
    with pytest.raises(IdentityError, match="renew"):
        identity.of(Handshake(GOOD), "example", NOW + timedelta(days=1))


@pytest.mark.parametrize("segment", identity.SEGMENTS)
def test_every_kind_is_written_as_it_is_read(segment: str) -> None:
    """All six."""
    text = f"spiffe://example/{segment}/name-1"
    assert str(identity.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://example/operator",
        "spiffe://example/operator/",
        "spiffe://example/operator/ann/x",
        "spiffe://example/operator/../ann",
        "spiffe://example/operator/..",
        "spiffe://example/root/ann",
        "spiffe://Example/operator/ann",
        "spiffe:///operator/ann",
        "https://example/operator/ann",
        "spiffe://example/operator/ann\n",
        "spiffe://example/operator/ann?x=1",
        "spiffe://example/detector/a.b",
        " spiffe://example/operator/ann",
    ],
)
def test_what_is_none_of_ours_is_nobody(text: str) -> None:
    """No prefix match, no path tricks."""
    with pytest.raises(IdentityError):
        identity.parse(text)
