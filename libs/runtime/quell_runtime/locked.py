"""A file under lock: AES-256-GCM in chunks, its data key wrapped for each who may open it.

In bytes: `quell-vault-1` and a line feed; u32be length and JSON of the wraps; u32be length and ciphertext of the
manifest; then the chunks. The data key is new for each file, so that nonces are a counter: 0 is the manifest, then the
chunks. The last chunk is shorter than the others and says in its associated data that it is the last, so that a cut
file does not open.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quell_runtime.data_keys import DataKeys, Wraps

MAGIC = b"quell-vault-1\n"
CHUNK = 1 << 20
TAG_BYTES = 16
HEADER_LIMIT = 64 << 20


class VaultDamagedError(Exception):
    """What lies in the vault is not what we put there, or we lack the key."""


def write(out: BinaryIO, read: Callable[[int], bytes], manifest: bytes, keys: DataKeys) -> None:
    """Lock a content; `read` returns `CHUNK` bytes from an offset on, fewer only at the end."""
    data_key = AESGCM.generate_key(256)
    cipher = AESGCM(data_key)
    out.write(MAGIC)
    parts = (json.dumps(keys.wrap(data_key)).encode(), cipher.encrypt(_nonce(0), manifest, b"manifest"))
    out.writelines(len(part).to_bytes(4) + part for part in parts)
    number, last = 1, False
    while not last:
        block = read((number - 1) * CHUNK)
        last = len(block) < CHUNK
        out.write(cipher.encrypt(_nonce(number), block, b"last" if last else b"more"))
        number += 1


class Locked:
    """A locked file that is open, with its manifest."""

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
            self.manifest = self._cipher.decrypt(_nonce(0), self._part(), b"manifest")
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            raise VaultDamagedError("it does not open") from error

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


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)
