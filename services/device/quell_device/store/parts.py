"""Parts of artifacts in an object store, each of them under lock.

A part is an object of its own, `{artifact}/{number}`: 12 random bytes and the ciphertext of AES-256-GCM under the
artifact's data key, with artifact and number as associated data, so that no part can stand for another. How many parts
there are, and the digest over all, the database knows. Data keys are wrapped by the service's key.
"""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from quell_device.domain.errors import ArtifactDamagedError, NoRoomError

NONCE_BYTES = 12
NO_SPACE = f"(os error {errno.ENOSPC})"
RESERVE = 64 << 20
"""Bytes that artifacts leave free on a disk for what else is kept there."""


class Parts:
    """Puts parts away and gets them back. Nothing here is larger than a part."""

    def __init__(self, url: str, folder: Path, key: bytes) -> None:
        """Keep them below a URL (`s3://bucket/prefix`), or in the folder if there is none.

        Credentials of clouds come from where their own tools have them: the environment, the machine's role.
        """
        self._key = AESGCM(key)
        self._folder: Path | None = None
        if url and not url.startswith("file:"):
            self._store = from_url(url)
        else:
            self._folder = Path(unquote(urlsplit(url).path)) if url else folder
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._store = LocalStore(self._folder)

    def new_key(self, artifact: str) -> bytes:
        """Make a data key, and return it wrapped."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, AESGCM.generate_key(256), artifact.encode())

    @property
    def room(self) -> int | None:
        """How many bytes may still come; None: nobody knows."""
        return None if self._folder is None else shutil.disk_usage(self._folder).free - RESERVE

    async def put(self, artifact: str, key: bytes, number: int, content: bytes) -> None:
        """Store a part durably, instead of one that may be there.

        Raises:
            NoRoomError: There is no room.

        """
        if (room := self.room) is not None and room < len(content):
            raise NoRoomError("the disk of the artifacts is full")
        nonce, about = os.urandom(NONCE_BYTES), _about(artifact, number)
        sealed = await asyncio.to_thread(lambda: nonce + self._data(artifact, key).encrypt(nonce, content, about))
        try:
            await obstore.put_async(self._store, _path(artifact, number), sealed, use_multipart=False)
        except BaseError as error:
            if NO_SPACE in str(error):
                raise NoRoomError("the disk of the artifacts is full") from None
            raise
        if self._folder is not None:
            await asyncio.to_thread(_sync, self._folder / _path(artifact, number))

    async def get(self, artifact: str, key: bytes, number: int) -> bytes:
        """Return a part.

        Raises:
            ArtifactDamagedError: It is not there, or not what was put there.

        """
        try:
            found = await obstore.get_async(self._store, _path(artifact, number))
            sealed = bytes(await found.bytes_async())
            nonce, about = sealed[:NONCE_BYTES], _about(artifact, number)
            cipher = self._data(artifact, key)
            return await asyncio.to_thread(cipher.decrypt, nonce, sealed[NONCE_BYTES:], about)
        except (FileNotFoundError, InvalidTag, ValueError):
            raise ArtifactDamagedError("what lies in the store is not what was put there") from None

    async def drop(self, artifact: str) -> None:
        """Delete every part; what is not there is no matter."""
        if self._folder is not None:
            # With what a process that was killed had not finished, which the store does not show.
            await asyncio.to_thread(shutil.rmtree, self._folder / artifact, ignore_errors=True)
            return
        async for some in obstore.list(self._store, f"{artifact}/"):
            await obstore.delete_async(self._store, [each["path"] for each in some])

    def _data(self, artifact: str, key: bytes) -> AESGCM:
        return AESGCM(self._key.decrypt(key[:NONCE_BYTES], key[NONCE_BYTES:], artifact.encode()))


def _path(artifact: str, number: int) -> str:
    return f"{artifact}/{number:08}"


def _about(artifact: str, number: int) -> bytes:
    return f"quell-artifact-1 {artifact} {number}".encode()


def _sync(path: Path) -> None:
    """Make a file and its name durable: the store alone leaves that to the kernel's leisure."""
    for each in (path, path.parent, path.parent.parent):
        descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
