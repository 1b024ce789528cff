"""Certificates hold one id and nothing that a requester wished for; keys are their owner's alone."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from quell.annotations.v1 import annotations_pb2

from quell_runtime import pki
from quell_runtime.identity import Identity
from quell_runtime.pki import Authority, CsrInvalidError, KeyInvalidError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
AUTHORITY = Authority.make("test", NOW)
AGENT = Identity(annotations_pb2.CALLER_AGENT, "example", "a" * 26)


def uris(certificate: x509.Certificate) -> list[str]:
    """Return a certificate's URIs."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_a_leaf_is_accepted_by_a_strict_verifier() -> None:
    """As a client, and with hosts as a server."""
    store = Store([AUTHORITY.certificate])
    leaf = AUTHORITY.issue(AGENT, NOW, hosts=("localhost", "127.0.0.1"))
    builder = PolicyBuilder().store(store).time(NOW)
    client = builder.build_client_verifier().verify(leaf.certificate, [])
    assert client.subjects is not None
    builder.build_server_verifier(x509.DNSName("localhost")).verify(leaf.certificate, [])
    assert uris(leaf.certificate) == [str(AGENT)]


def test_who_only_dials_can_not_serve() -> None:
    """A person's certificate is no server's."""
    leaf = AUTHORITY.issue(AGENT, NOW)
    usage = leaf.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_request_gives_its_key_and_nothing_else() -> None:
    """Names, ids and authority that it asks for are not heard."""
    key = pki.new_tls_key()
    wished = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example/operator/ann")]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate = AUTHORITY.sign(wished.public_bytes(pki.DER), AGENT, NOW, life=timedelta(days=7))
    assert uris(certificate) == [str(AGENT)]
    assert certificate.public_key() == key.public_key()
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == NOW + timedelta(days=7)


def csr(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return a request by a key."""
    how = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, how).public_bytes(pki.DER)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"not DER",
        csr(ed25519.Ed25519PrivateKey.generate()),
        csr(ec.generate_private_key(ec.SECP384R1())),
        pki.request(pki.new_tls_key())[:-1] + b"\x00",
        pki.request(pki.new_tls_key())[:-9],
    ],
)
def test_a_request_that_can_not_be_used_is_refused(request_bytes: bytes) -> None:
    """Damaged, signed by nobody, another kind of key."""
    with pytest.raises(CsrInvalidError):
        AUTHORITY.sign(request_bytes, AGENT, NOW)


def test_files_hold_what_was_saved_and_keys_are_their_owners_alone(tmp_path: Path) -> None:
    """Mode 0600 from the first moment, never written over."""
    crt, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    AUTHORITY.save(crt, key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Authority.load(crt, key).certificate == AUTHORITY.certificate
    with pytest.raises(FileExistsError):
        AUTHORITY.save(crt, key)
    Authority.make("other", NOW).save(tmp_path / "other.crt", tmp_path / "other.key")
    with pytest.raises(KeyInvalidError):
        Authority.load(crt, tmp_path / "other.key")
    with pytest.raises(KeyInvalidError):
        Authority.load(key, crt)


def test_a_seal_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    """It is for life."""
    path = tmp_path / "identity.pem"
    made = pki.new_seal_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pki.load_seal_key(path).public == made.public
    with pytest.raises(FileExistsError):
        pki.new_seal_key(path)


@pytest.mark.parametrize("content", [b"", b"x", pki.key_pem(pki.new_tls_key())])
def test_a_file_without_a_seal_key_is_named(tmp_path: Path, content: bytes) -> None:
    """And none of its bytes is told."""
    path = tmp_path / "identity.pem"
    path.write_bytes(content)
    with pytest.raises(KeyInvalidError, match=r"identity\.pem"):
        pki.load_seal_key(path)
    with pytest.raises(KeyInvalidError, match=r"none\.pem"):
        pki.load_seal_key(tmp_path / "none.pem")
