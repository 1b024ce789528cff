"""Data keys, wrapped twice: for who keeps what they lock, and for the deployment's recovery key (X25519).

So a lost machine does not mean lost files.
"""

import os
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from quell.warrant.v1 import key_set_pb2

from quell_runtime.sealing import key_id_of

Wraps = dict[str, dict[str, str]]


class DataKeys:
    """The keys that wrap data keys. `recovery` returns the deployment's public recovery key, or None without one."""

    def __init__(self, secret: bytes, recovery: Callable[[], bytes | None], holder: str) -> None:
        """Take the secret bytes of who keeps the files, 32 or more; `holder` tells one keeper's use from others'."""
        self._secret = secret
        self._recovery = recovery
        self._holder = holder

    def wrap(self, data_key: bytes) -> Wraps:
        """Lock a data key for each who may open it."""
        salt = os.urandom(16)
        own = AESGCM(_derive(self._secret, salt, self._holder)).encrypt(bytes(12), data_key, None)
        wraps = {self._holder: {"salt": salt.hex(), "key": own.hex()}}
        if (public := self._recovery()) is not None:
            once = X25519PrivateKey.generate()
            shared, sent = (
                once.exchange(X25519PublicKey.from_public_bytes(public)),
                once.public_key().public_bytes_raw(),
            )
            key = AESGCM(_derive(shared, sent + public, "recovery")).encrypt(bytes(12), data_key, None)
            wraps["recovery"] = {"for": key_id_of(public).hex(), "sent": sent.hex(), "key": key.hex()}
        return wraps

    def unwrap(self, wraps: Wraps) -> bytes:
        """Return the data key that the holder may open.

        Raises:
            KeyError, ValueError, InvalidTag: It may not.

        """
        own = wraps[self._holder]
        key = _derive(self._secret, bytes.fromhex(own["salt"]), self._holder)
        return AESGCM(key).decrypt(bytes(12), bytes.fromhex(own["key"]), None)


def recovered(wraps: Wraps, private: bytes) -> bytes:
    """Return the data key by the deployment's private recovery key, where the holder is lost."""
    key, wrap = X25519PrivateKey.from_private_bytes(private), wraps["recovery"]
    sent = bytes.fromhex(wrap["sent"])
    shared, public = key.exchange(X25519PublicKey.from_public_bytes(sent)), key.public_key().public_bytes_raw()
    return AESGCM(_derive(shared, sent + public, "recovery")).decrypt(bytes(12), bytes.fromhex(wrap["key"]), None)


def recovery_key(known: key_set_pb2.KeySet | None) -> bytes | None:
    """Return the deployment's public recovery key, if the centre's keys have one."""
    keys = known.keys if known else ()
    good = [key.public_key for key in keys if key.use == key_set_pb2.KEY_USE_RECOVERY and not key.revoked]
    return good[-1] if good else None


def _derive(secret: bytes, salt: bytes, use: str) -> bytes:
    return HKDF(SHA256(), 32, salt, f"quell-vault-1 {use}".encode()).derive(secret)
