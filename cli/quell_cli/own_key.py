"""A person's own key, beside that person's certificate: it seals approvals and tokens, and goes nowhere."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from quell_cli.connection import ClientInvalidError, NotSetUpError, Profile
from quell_runtime import identity, pki
from quell_runtime.own_keys import OwnKey


def path_of(profile: Profile, person: str) -> Path:
    """Return where a person's own key lies."""
    return profile.certificates / f"{person}.own.pem"


def make(profile: Profile, person: str) -> OwnKey:
    """Make a person's own key.

    Raises:
        NotSetUpError: There is no certificate of that person.
        ClientInvalidError: There is a key already, or it can't be written.

    """
    certified = _certified(profile, person)
    path = path_of(profile, person)
    if path.exists():
        raise ClientInvalidError(f"{path} is {person}'s key already: take it away if another is to take its place")
    try:
        return OwnKey(pki.new_seal_key(path), certified.deployment, certified.name)
    except OSError as error:
        raise ClientInvalidError(f"{path}: {error.strerror}") from None


def of(profile: Profile, person: str) -> OwnKey | None:
    """Return a person's own key; None if there is none.

    Raises:
        KeyInvalidError: The file does not hold one.

    """
    path = path_of(profile, person)
    if not path.exists():
        return None
    certified = _certified(profile, person)
    return OwnKey(pki.load_seal_key(path), certified.deployment, certified.name)


def needed(profile: Profile, person: str) -> OwnKey:
    """Return a person's own key.

    Raises:
        NotSetUpError: There is none.

    """
    if found := of(profile, person):
        return found
    raise NotSetUpError(f"{person} has no key of their own yet: quell --as {person} keys make")


def _certified(profile: Profile, person: str) -> identity.Identity:
    """Return who a person is by that person's certificate: the key belongs to the same name."""
    try:
        certificate = x509.load_pem_x509_certificate((profile.certificates / f"{person}.crt").read_bytes())
    except (OSError, ValueError):
        raise NotSetUpError(f"there is no certificate of {person}: quell certificate {person}") from None
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return identity.parse(names.get_values_for_type(x509.UniformResourceIdentifier)[0])


def now() -> datetime:
    """Return the time at which something is sealed."""
    return datetime.now(UTC)
