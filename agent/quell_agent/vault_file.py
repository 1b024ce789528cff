"""A file under lock: AES-256-GCM in chunks, its data key wrapped twice.

In bytes: `quell-vault-1` and a line feed; u32be length and JSON of the wraps; u32be length and ciphertext of the
manifest; then the chunks. The data key is new for each file, so that nonces are a counter: 0 is the manifest, then the
chunks. The last chunk is shorter than the others and says in its associated data that it is the last, so that a cut
file does not open. One wrap is by a key made of the device's identity key, the other by the deployment's recovery key
(X25519), so that a lost agent does not mean lost files.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quell_agent.before import Before
from quell_agent.files import CHUNK
from quell_runtime.sealing import SealKey, device_id, key_id_of

MAGIC = b"quell-vault-1\n"
TAG_BYTES = 16
HEADER_LIMIT = 64 << 20
Wraps = dict[str, dict[str, str]]


class VaultDamagedError(Exception):
    """What lies in the vault is not what we put there, or we lack the key."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file in the vault is: the action that took it, and its names with all that they need to be put back."""

    action: str
    names: tuple[Before, ...]


class VaultKeys:
    """The keys that wrap data keys. `recovery` returns the deployment's public recovery key, or None without one."""

    def __init__(self, identity: bytes, recovery: Callable[[], bytes | None]) -> None:
        """Take the 32 private bytes of the device's identity key."""
        self._identity = identity
        self._recovery = recovery

    @property
    def device(self) -> str:
        """The device whose identity key it is: `devices/{device}`."""
        return f"devices/{device_id(SealKey(self._identity).key_id)}"

    def wrap(self, data_key: bytes) -> Wraps:
        """Lock a data key for each who may open it."""
        salt = os.urandom(16)
        own = AESGCM(_derive(self._identity, salt, b"device")).encrypt(bytes(12), data_key, None)
        wraps = {"device": {"salt": salt.hex(), "key": own.hex()}}
        if (public := self._recovery()) is not None:
            once = X25519PrivateKey.generate()
            shared, sent = (
                once.exchange(X25519PublicKey.from_public_bytes(public)),
                once.public_key().public_bytes_raw(),
            )
            key = AESGCM(_derive(shared, sent + public, b"recovery")).encrypt(bytes(12), data_key, None)
            wraps["recovery"] = {"for": key_id_of(public).hex(), "sent": sent.hex(), "key": key.hex()}
        return wraps

    def unwrap(self, wraps: Wraps) -> bytes:
        """Return the data key that the device itself may open."""
        own = wraps["device"]
        key = _derive(self._identity, bytes.fromhex(own["salt"]), b"device")
        return AESGCM(key).decrypt(bytes(12), bytes.fromhex(own["key"]), None)


def recovered(wraps: Wraps, private: bytes) -> bytes:
    """Return the data key by the deployment's private recovery key, where the device is lost."""
    key, wrap = X25519PrivateKey.from_private_bytes(private), wraps["recovery"]
    sent = bytes.fromhex(wrap["sent"])
    shared, public = key.exchange(X25519PublicKey.from_public_bytes(sent)), key.public_key().public_bytes_raw()
    return AESGCM(_derive(shared, sent + public, b"recovery")).decrypt(bytes(12), bytes.fromhex(wrap["key"]), None)


def write(out: BinaryIO, source: int, manifest: Manifest, keys: VaultKeys) -> None:
    """Lock what can be read from a descriptor."""
    data_key = AESGCM.generate_key(256)
    cipher = AESGCM(data_key)
    names = [before.dump().decode() for before in manifest.names]
    listing = json.dumps({"action": manifest.action, "names": names}).encode()
    out.write(MAGIC)
    parts = (json.dumps(keys.wrap(data_key)).encode(), cipher.encrypt(_nonce(0), listing, b"manifest"))
    out.writelines(len(part).to_bytes(4) + part for part in parts)
    offset, number, last = 0, 1, False
    while not last:
        block = os.pread(source, CHUNK, offset)
        offset, last = offset + len(block), len(block) < CHUNK
        out.write(cipher.encrypt(_nonce(number), block, b"last" if last else b"more"))
        number += 1


class VaultFile:
    """A locked file that is open."""

    def __init__(self, source: BinaryIO, unwrap: Callable[[Wraps], bytes]) -> None:
        """Open it.

        Raises:
            VaultDamagedError: It can't be.

        """
        self._source = source
        try:
            if source.read(len(MAGIC)) != MAGIC:
                raise VaultDamagedError("it is no vault file")
            self._cipher = AESGCM(unwrap(json.loads(self._part())))
            listing = json.loads(self._cipher.decrypt(_nonce(0), self._part(), b"manifest"))
        except (InvalidTag, ValueError, KeyError) as error:
            raise VaultDamagedError("it does not open") from error
        self.manifest = Manifest(listing["action"], tuple(Before.load(name.encode()) for name in listing["names"]))

    def blocks(self) -> Iterator[bytes]:
        """Yield the content.

        Raises:
            VaultDamagedError: It was changed or cut; what was yielded before is right, but not all.

        """
        number, last = 1, False
        while not last:
            block = self._source.read(CHUNK + TAG_BYTES)
            last = len(block) < CHUNK + TAG_BYTES
            try:
                yield self._cipher.decrypt(_nonce(number), block, b"last" if last else b"more")
            except (InvalidTag, ValueError) as error:
                raise VaultDamagedError("its content was changed") from error
            number += 1

    def digest(self) -> str:
        """Return the SHA-256 of the content.

        Raises:
            VaultDamagedError: It was changed or cut.

        """
        found = hashlib.sha256()
        for block in self.blocks():
            found.update(block)
        return found.hexdigest()

    def _part(self) -> bytes:
        size = int.from_bytes(self._source.read(4))
        if size > HEADER_LIMIT:
            raise VaultDamagedError("it is no vault file")
        return self._source.read(size)


def _derive(secret: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"quell-vault-1 " + use).derive(secret)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)
