"""What lies inside archives, with limits that no bomb gets past."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

DEPTH = 3
"""Archives in archives in an archive."""
RATIO = 100
RATIO_FROM_BYTES = 1 << 20
"""Less than this may be packed however tightly."""
MEMBER_BYTES = 64 << 20
TOTAL_BYTES = 256 << 20
MEMBERS = 10_000
NAME_CHARACTERS = 300
BLOCK = 1 << 18
ZIP, GZIP, BZIP2, XZ = b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
TAR, TAR_AT = b"ustar", 257
HEAD_BYTES = TAR_AT + len(TAR)
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError)
LOCKED = (RuntimeError, NotImplementedError)
"""What `zipfile` says of a password, and of a way of packing that it does not know."""


class _Readable(Protocol):
    """A member that is open."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what is left."""


class _EnoughError(Exception):
    """A limit was met."""


class Unpacking:
    """One file's members, as far as the limits go. `cut`: there is more in it than was read."""

    def __init__(self) -> None:
        """Begin with all that is allowed."""
        self.cut = False
        self._left, self._members = TOTAL_BYTES, MEMBERS

    def members(self, source: BinaryIO, size: int, prefix: str = "", depth: int = 1) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of each; of what is no archive, nothing. Damaged ones end where they break."""
        source.seek(0)
        head = source.read(HEAD_BYTES)
        source.seek(0)
        try:
            for name, stream in _opened(source, head):
                data, full = self._read(stream, size, depth), prefix + name[:NAME_CHARACTERS]
                yield full, data
                yield from self.members(io.BytesIO(data), len(data), f"{full}!", depth + 1)
        except (*LOCKED, _EnoughError, MemoryError):
            self.cut = True
        except DAMAGED:
            return

    def _read(self, stream: _Readable, size: int, depth: int) -> bytes:
        """Read one member of an archive of this size.

        Raises:
            _EnoughError: It is one too many, too much, or too deep.

        """
        if depth > DEPTH:
            raise _EnoughError
        self._members -= 1
        most = min(MEMBER_BYTES, self._left, max(RATIO * size, RATIO_FROM_BYTES))
        blocks, length = [], 0
        while block := stream.read(BLOCK):
            blocks.append(block)
            length += len(block)
            if length > most:
                raise _EnoughError
        self._left -= length
        if self._members < 0:
            raise _EnoughError
        return b"".join(blocks)


def _opened(source: BinaryIO, head: bytes) -> Iterator[tuple[str, _Readable]]:
    """Yield each member's name, and how to read it, in the archive's order."""
    if head.startswith(ZIP):
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield info.filename, stream
    elif head[TAR_AT:].startswith(TAR):
        # Not the archive's own list: that is read to its end first.
        with tarfile.open(fileobj=source, mode="r:") as archive:
            for member in archive:
                if member.isreg() and (content := archive.extractfile(member)) is not None:
                    yield member.name, content
    elif head.startswith(GZIP):
        with gzip.GzipFile(fileobj=source) as packed:
            yield "content", packed
    elif head.startswith(BZIP2):
        with bz2.BZ2File(source) as packed_tighter:
            yield "content", packed_tighter
    elif head.startswith(XZ):
        with lzma.LZMAFile(source) as packed_tightest:
            yield "content", packed_tightest
