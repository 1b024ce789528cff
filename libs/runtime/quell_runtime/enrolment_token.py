"""The enrolment token: all that a new agent must be told to find us and to know whom to trust.

It is one line of text: `quell1.` and the base64url of a JSON object. Whoever holds it can enrol one device, once.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field

from quell_runtime.errors import InvalidError

PREFIX = "quell1."
DIGEST_BYTES = 32


class TokenInvalidError(InvalidError):
    """The text is no enrolment token, or not one that counts."""

    reason = "TOKEN_INVALID"


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """What a token holds.

    `enrol_address` and `agents_address` are `host:port`: where to enrol, and where to connect from then on.
    `listener_digest` is the SHA-256 of the enrolment listener's certificate (DER), all that is trusted for that call;
    `root_key_digest` that of the deployment's root public key; `secret` is 32 random bytes.
    """

    enrol_address: str
    agents_address: str
    listener_digest: bytes
    root_key_digest: bytes
    secret: bytes = field(repr=False)

    def text(self) -> str:
        """Return it as it is handed over."""
        content = {
            "enrol": self.enrol_address,
            "agents": self.agents_address,
            "listener": self.listener_digest.hex(),
            "root": self.root_key_digest.hex(),
            "secret": self.secret.hex(),
        }
        packed = json.dumps(content, separators=(",", ":")).encode()
        return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse(text: str) -> EnrolmentToken:
    """Return what a token holds.

    Raises:
        TokenInvalidError: It is no token.

    """
    prefix, dot, body = text.strip().partition(".")
    try:
        if prefix + dot != PREFIX:
            raise ValueError(prefix)  # noqa: TRY301 - one answer for all that is wrong
        content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        enrol, agents = str(content["enrol"]), str(content["agents"])
        digests = [bytes.fromhex(content[name]) for name in ("listener", "root", "secret")]
    except (binascii.Error, ValueError, TypeError, KeyError):
        raise TokenInvalidError("this is no enrolment token: copy it whole", "token") from None
    if any(len(digest) != DIGEST_BYTES for digest in digests):
        raise TokenInvalidError("this is no enrolment token: copy it whole", "token")
    return EnrolmentToken(enrol, agents, *digests)


def digest_of(text: str) -> bytes:
    """Return the digest that an `Enrolment` carries and that alone the device service keeps: SHA-256 of the text."""
    return hashlib.sha256(text.strip().encode()).digest()
