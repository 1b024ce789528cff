"""People's own keys: how their public halves are written, and what one seals for its person.

A person's own key (Ed25519) never leaves that person. `people.toml` says at the centre whose it is; executors are told
by those who run them, so that the centre alone can't add one.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from quell.warrant.v1 import actor_token_pb2, approval_pb2, seal_pb2

from quell_runtime import times
from quell_runtime.errors import InvalidError
from quell_runtime.sealing import SealInvalidError, SealKey, key_id_of, open_seal
from quell_runtime.seams import stamp

APPROVAL = approval_pb2.Approval.DESCRIPTOR.full_name
ACTOR_TOKEN = actor_token_pb2.ActorToken.DESCRIPTOR.full_name
METADATA = "quell-actor-token"
"""Where an `ActorToken` travels in a call."""
TOKEN_LIFE = timedelta(minutes=5)
M = TypeVar("M", bound=Message)
_BYTES = 32


def public_key(text: str) -> bytes:
    """Read an Ed25519 public key: 64 hexadecimal digits, or base64.

    Raises:
        InvalidError: It is none.

    """
    try:
        found = bytes.fromhex(text) if len(text) == 2 * _BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != _BYTES:
        raise InvalidError(f"{text:.80} is no Ed25519 public key: 64 hexadecimal digits, or 32 bytes in base64")
    return found


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A person's own key. `person` is the name that `people.toml` has for whom it belongs to."""

    key: SealKey
    deployment: str
    person: str

    def approval(self, preview_digest: bytes, now: datetime, expire_time: datetime) -> seal_pb2.Sealed:
        """Seal the approval of a preview; it counts until `expire_time`."""
        said = approval_pb2.Approval(
            preview_digest=preview_digest,
            approver=self.person,
            time=stamp(now),
            expire_time=stamp(expire_time),
            deployment=self.deployment,
        )
        return self.key.seal(APPROVAL, [said.SerializeToString()])[0]

    def actor_token(self, service: str, action: str, now: datetime) -> str:
        """Return the token by which a service may ask for one action for this person, for 5 minutes."""
        said = actor_token_pb2.ActorToken(
            deployment=self.deployment,
            person=self.person,
            audience=f"spiffe://{self.deployment}/service/{service}",
            action=action,
            expire_time=stamp(now + TOKEN_LIFE),
        )
        sealed = self.key.seal(ACTOR_TOKEN, [said.SerializeToString()])[0]
        return base64.urlsafe_b64encode(sealed.SerializeToString()).decode().rstrip("=")


def opened(sealed: seal_pb2.Sealed, message: type[M], keys: Iterable[bytes]) -> M:
    """Return what one of these public keys sealed.

    Raises:
        SealInvalidError: None of them did, or it is no such message.

    """
    found = {key_id_of(key): key for key in keys}
    body = open_seal(sealed, message.DESCRIPTOR.full_name, found.get)
    try:
        said = message.FromString(body)
    except DecodeError:
        raise SealInvalidError("what was sealed can't be read") from None
    if path := times.impossible(said):
        raise SealInvalidError(f"{path}: there is no such time")
    return said


def token_of(text: str) -> seal_pb2.Sealed:
    """Return what a token's text holds; nothing of it is checked yet.

    Raises:
        ValueError: It is none.

    """
    return seal_pb2.Sealed.FromString(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
