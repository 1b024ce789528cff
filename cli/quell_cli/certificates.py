"""Certificates and keys of a deployment in a folder, after it was made: another caller's, and another year for all."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from quell.warrant.v1 import key_set_pb2, seal_pb2

from quell_cli.connection import ClientInvalidError, NotSetUpError
from quell_cli.deployment import DEPLOYMENT, KEY_LIFE, Folder
from quell_runtime import identity, key_sets, pki
from quell_runtime.errors import QuellError
from quell_runtime.seams import stamp

AUTHORITY = "deployment-ca"


def certify(folder: Folder, kind: str, name: str) -> identity.Identity:
    """Make a certificate for a caller: `kind` as SPIFFE ids have it, `operator`, `detector` or `mail-filter`.

    Raises:
        NotSetUpError: There is no deployment.
        ClientInvalidError: The name can't be one.

    """
    try:
        who = identity.parse(f"spiffe://{DEPLOYMENT}/{kind}/{name}")
    except QuellError as error:
        raise ClientInvalidError(f"{name} can't be the name of this caller: {error.message}") from None
    known = folder.certificate(name)
    if known.exists() and _read(known)[0] != who:
        raise ClientInvalidError(f"{known} is that of another caller: use another name")
    _issue(folder, _authority(folder), who, ())
    return who


def renew(folder: Folder) -> Sequence[str]:
    """Make every certificate anew and have the root key vouch for the same keys for another year.

    Raises:
        NotSetUpError: There is no deployment.

    """
    authority = _authority(folder)
    renewed = []
    for path in sorted((folder.root / "pki").glob("*.crt")):
        if not path.stem.endswith("-ca"):
            who, hosts = _read(path)
            _issue(folder, authority, who, hosts)
            renewed.append(path.stem)
    _renew_key_set(folder)
    return renewed


def _authority(folder: Folder) -> pki.Authority:
    if not folder.key(AUTHORITY).exists():
        raise NotSetUpError(f"{folder.root} holds no deployment with its authority's key")
    return pki.Authority.load(folder.certificate(AUTHORITY), folder.key(AUTHORITY))


def _read(path: Path) -> tuple[identity.Identity, Sequence[str]]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return identity.parse(uri), hosts


def _issue(folder: Folder, authority: pki.Authority, who: identity.Identity, hosts: Sequence[str]) -> None:
    leaf = authority.issue(who, datetime.now(UTC), hosts=hosts, life=KEY_LIFE)
    certificate, key = folder.certificate(who.name), folder.key(who.name)
    new = certificate.with_suffix(".crt.new"), key.with_suffix(".key.new")
    for path in new:
        path.unlink(missing_ok=True)
    leaf.save(*new)
    new[1].replace(key)
    new[0].replace(certificate)


def _renew_key_set(folder: Folder) -> None:
    """Seal the next version of the key set: the same keys, so that warrants under way stay good, for another year."""
    kept = seal_pb2.Sealed.FromString(folder.key_set.read_bytes())
    known = key_set_pb2.KeySet.FromString(kept.body)
    keys = []
    for key in known.keys:
        longer = key_set_pb2.Key()
        longer.CopyFrom(key)
        longer.not_after_time.CopyFrom(stamp(datetime.now(UTC) + KEY_LIFE))
        keys.append(longer)
    root = pki.load_seal_key(folder.seal_key("root"))
    pki.save_public(folder.key_set, key_sets.sealed(root, DEPLOYMENT, known.version + 1, keys).SerializeToString())
