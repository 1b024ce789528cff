"""Seals: one Ed25519 signature over a Merkle tree seals a batch, and each item carries its own path to the root.

The bytes are those that `quell.warrant.v1.Sealed` describes (RFC 6962, 2.1; RFC 9162, 2.1.3.2; RFC 8032).
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from quell.warrant.v1 import seal_pb2

from quell_runtime.errors import InvalidError

CONTEXT = b"quell-seal-v1\x00"


class SealInvalidError(InvalidError):
    """The seal does not hold: nothing in the body counts."""

    reason = "SEAL_INVALID"


class SealKey:
    """A key that seals."""

    def __init__(self, private: bytes) -> None:
        """Take the 32 bytes of an Ed25519 private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(self.public).digest()

    def seal(self, type_name: str, bodies: Sequence[bytes]) -> list[seal_pb2.Sealed]:
        """Seal serialized messages of one type with one signature, in order. No bodies, no seals."""
        if not bodies:
            return []
        leaves = [_leaf(type_name, body) for body in bodies]
        root, paths = _tree(leaves)
        signature = self._key.sign(_signed(len(leaves), root))
        return [
            seal_pb2.Sealed(
                type=type_name,
                body=body,
                key_id=self.key_id,
                signature=signature,
                leaf_index=index,
                leaf_count=len(leaves),
                path=path,
            )
            for index, (body, path) in enumerate(zip(bodies, paths, strict=True))
        ]


def key_id_of(public: bytes) -> bytes:
    """Return the id of a public key: its SHA-256."""
    return hashlib.sha256(public).digest()


def device_id(key_id: bytes) -> str:
    """Return the id of the device of an identity key: base32, lower case, of the first 16 bytes of the key's id.

    It is made of the key, so that nobody can put another key under a known device.
    """
    return base64.b32encode(key_id[:16]).decode().rstrip("=").lower()


def open_seal(sealed: seal_pb2.Sealed, expected_type: str, key_of: Callable[[bytes], bytes | None]) -> bytes:
    """Return the body of a seal that holds.

    `key_of` answers the public key of a key id, or None if that key isn't good for this.

    Raises:
        SealInvalidError: The type is not the expected one, the key is not good, or the proof fails.

    """
    if sealed.type != expected_type:
        raise SealInvalidError(f"a {expected_type} was expected")
    public = key_of(sealed.key_id)
    if public is None or key_id_of(public) != sealed.key_id:
        raise SealInvalidError("it is sealed by a key that isn't good for it")
    root = _root(_leaf(sealed.type, sealed.body), sealed.leaf_index, sealed.leaf_count, sealed.path)
    if not _signature_holds(public, sealed.signature, sealed.leaf_count, root):
        raise SealInvalidError("the signature does not hold")
    return sealed.body


# One batch has one signature: it is checked once, however many items are opened.
@lru_cache(maxsize=4096)
def _signature_holds(public: bytes, signature: bytes, leaf_count: int, root: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(leaf_count, root))
    except (InvalidSignature, ValueError):
        return False
    return True


def _leaf(type_name: str, body: bytes) -> bytes:
    name = type_name.encode()
    return hashlib.sha256(b"\x00" + len(name).to_bytes(4) + name + body).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _signed(leaf_count: int, root: bytes) -> bytes:
    return CONTEXT + leaf_count.to_bytes(8) + root


def _tree(leaves: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """Return the root and each leaf's path, from the leaf up."""
    if len(leaves) == 1:
        return leaves[0], [[]]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, left_paths = _tree(leaves[:split])
    right, right_paths = _tree(leaves[split:])
    return _node(left, right), [[*path, right] for path in left_paths] + [[*path, left] for path in right_paths]


def _root(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < count:
        raise SealInvalidError("leaf_index must be below leaf_count")
    position, last, found = index, count - 1, leaf
    for step in path:
        if last == 0:
            raise SealInvalidError("the path is too long")
        if position & 1 or position == last:
            found = _node(step, found)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            found = _node(found, step)
        position >>= 1
        last >>= 1
    if last != 0:
        raise SealInvalidError("the path is too short")
    return found
