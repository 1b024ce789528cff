"""Certificates and key files: authorities, leaves with one SPIFFE id, identity keys.

TLS keys are ECDSA P-256, and come and go. Identity keys are Ed25519, for life; they seal, and are in no certificate.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quell_runtime.errors import InvalidError
from quell_runtime.identity import Identity
from quell_runtime.sealing import SealKey

SKEW = timedelta(minutes=5)
"""How much earlier than now a certificate begins, for clocks that are behind."""
CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


class CsrInvalidError(InvalidError):
    """The certificate request can't be used."""

    reason = "CSR_INVALID"


class KeyInvalidError(InvalidError):
    """A file does not hold the key that it should."""

    reason = "KEY_INVALID"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def save(self, certificate: Path, key: Path) -> None:
        """Write both as PEM, the key for the owner's eyes only."""
        save_private(key, key_pem(self.key))
        save_public(certificate, self.certificate.public_bytes(PEM))


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority. It signs leaves, and no other authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, now: datetime, life: timedelta = CA_LIFE) -> "Authority":
        """Make a new one that signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        builder = (
            _builder(subject, subject, key.public_key(), now, life)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Authority":
        """Read one from its PEM files.

        Raises:
            KeyInvalidError: A file does not hold what it should.

        """
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            private = serialization.load_pem_private_key(key.read_bytes(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyInvalidError(f"{certificate} or {key}: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
            raise KeyInvalidError(f"{key} is not the key of {certificate}")
        return cls(found, private)

    def save(self, certificate: Path, key: Path) -> None:
        """Write both as PEM, the key for the owner's eyes only."""
        Leaf(self.certificate, self.key).save(certificate, key)

    def issue(self, who: Identity, now: datetime, *, hosts: Sequence[str] = (), life: timedelta = LEAF_LIFE) -> Leaf:
        """Make a key and its certificate. With `hosts` (names or addresses) it can also serve."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Leaf(self._certify(who, key.public_key(), now, hosts, life), key)

    def sign(self, csr: bytes, who: Identity, now: datetime, *, life: timedelta = LEAF_LIFE) -> x509.Certificate:
        """Answer a request (PKCS #10, DER) with a certificate. Only the key is taken from it, never a name.

        Raises:
            CsrInvalidError: It is damaged, not signed by its own key, or that is not on P-256.

        """
        try:
            request = x509.load_der_x509_csr(csr)
            key = request.public_key()
            holds = request.is_signature_valid
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
            raise CsrInvalidError("it is no PKCS #10 request in DER", "csr") from None
        if not (holds and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
            raise CsrInvalidError("an ECDSA P-256 key that signed the request is needed", "csr")
        return self._certify(who, key, now, (), life)

    def _certify(
        self, who: Identity, key: ec.EllipticCurvePublicKey, now: datetime, hosts: Sequence[str], life: timedelta
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who.name[:64])])
        names = [x509.UniformResourceIdentifier(str(who)), *map(_host, hosts)]
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _builder(subject, self.certificate.subject, key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Ask for a certificate for a key: PKCS #10, DER, without any name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(DER)


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Make a TLS key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    """Return a private key as PEM, PKCS #8."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate."""
    return sha256(certificate.public_bytes(DER)).digest()


def new_seal_key(path: Path) -> SealKey:
    """Make an Ed25519 key that seals, in a new file.

    Raises:
        FileExistsError: There is one already; such a key is for life.

    """
    save_private(path, key_pem(Ed25519PrivateKey.generate()))
    return load_seal_key(path)


def load_seal_key(path: Path) -> SealKey:
    """Read a key that seals.

    Raises:
        KeyInvalidError: The file does not hold one.

    """
    return SealKey(_ed25519(path).private_bytes_raw())


def _ed25519(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyInvalidError(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyInvalidError(f"{path} holds no Ed25519 key")
    return key


def derived_key(path: Path, use: bytes) -> bytes:
    """Return a symmetric key of 32 bytes for one use, made of the key in a file.

    Raises:
        KeyInvalidError: The file does not hold an Ed25519 key.

    """
    return HKDF(hashes.SHA256(), 32, None, use).derive(_ed25519(path).private_bytes_raw())


def save_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, durably.

    Raises:
        FileExistsError: There is one already.

    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - it has a descriptor, and no path
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def save_public(path: Path, content: bytes) -> None:
    """Write or replace a file that everybody may read, as a whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(content)
    scratch.replace(path)
