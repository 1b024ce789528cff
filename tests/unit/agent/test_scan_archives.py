"""Archives are read to their members, and no bomb gets past the limits."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib

import pytest

from quell_agent import scan_archives
from quell_agent.scan_archives import MEMBER_BYTES, RATIO_FROM_BYTES, Unpacking


def zipped(**members: bytes) -> bytes:
    """Return a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(**members: bytes) -> bytes:
    """Return a tar, with a link and a folder in it too."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("folder", tarfile.DIRTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, bytes], bool]:
    """Return what is found, and whether something was left."""
    unpacking = Unpacking()
    return dict(unpacking.members(io.BytesIO(data), len(data))), unpacking.cut


@pytest.mark.parametrize(
    ("data", "members"),
    [
        (zipped(a=b"1", b=b"2"), {"a": b"1", "b": b"2"}),
        (tarred(a=b"1", b=b"2"), {"a": b"1", "b": b"2"}),
        (gzip.compress(b"1"), {"content": b"1"}),
        (bz2.compress(b"1"), {"content": b"1"}),
        (lzma.compress(b"1"), {"content": b"1"}),
        (gzip.compress(tarred(a=b"1")), {"content": tarred(a=b"1"), "content!a": b"1"}),
        (zipped(z=zipped(a=b"1")), {"z": zipped(a=b"1"), "z!a": b"1"}),
        (b"", {}),
        (b"plain text", {}),
    ],
    # What packers write holds the time: it is no name.
    ids=["zip", "tar", "gzip", "bzip2", "xz", "tar in gzip", "zip in zip", "nothing", "text"],
)
def test_every_member_is_found(data: bytes, members: dict[str, bytes]) -> None:
    """By name, in archives in archives too; links, folders and pipes are none."""
    assert unpacked(data) == (members, False)


def test_depth_ends() -> None:
    """The fourth archive within another is not opened."""
    data = b"core"
    for _ in range(5):
        data = zipped(x=data)
    members, cut = unpacked(data)
    assert cut
    assert list(members) == ["x", "x!x", "x!x!x"]


def test_a_bomb_is_cut_off() -> None:
    """Zeros that unpack to a thousand times their size; control: as many bytes that do not."""
    for bomb in (zipped(a=bytes(50 << 20)), gzip.compress(bytes(50 << 20)), bz2.compress(bytes(50 << 20))):
        assert unpacked(bomb) == ({}, True)
    honest = os.urandom(5 << 20)
    assert unpacked(zipped(a=honest)) == ({"a": honest}, False)


def test_what_is_small_may_be_packed_tightly() -> None:
    """A short file of blanks is no bomb."""
    blanks = b" " * (RATIO_FROM_BYTES // 2)
    assert unpacked(gzip.compress(blanks)) == ({"content": blanks}, False)


def test_a_member_that_is_too_large_is_cut_off() -> None:
    """However it is packed."""
    large = os.urandom(1 << 20) * ((MEMBER_BYTES >> 20) + 1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a", large)
    assert unpacked(out.getvalue()) == ({}, True)


def test_total_and_number_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many members, and much in all of them."""
    monkeypatch.setattr(scan_archives, "MEMBERS", 3)
    members, cut = unpacked(zipped(**{f"m{number}": b"x" for number in range(5)}))
    assert (len(members), cut) == (3, True)
    monkeypatch.setattr(scan_archives, "TOTAL_BYTES", 25)
    members, cut = unpacked(zipped(a=b"x" * 10, b=b"x" * 10, c=b"x" * 10))
    assert (len(members), cut) == (2, True)


def test_a_locked_member_is_told() -> None:
    """What has a password can't be read, and that is said."""
    data = bytearray(zipped(a=b"x" * 100))
    # Bit 0 of the flags, in the member's header and in the list at the end.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert unpacked(bytes(data)) == ({}, True)


@pytest.mark.parametrize(
    "whole",
    [zipped(a=os.urandom(3000)), gzip.compress(os.urandom(3000)), tarred(a=bytes(9000))],
    ids=["zip", "gzip", "tar"],
)
def test_damage_is_no_error(whole: bytes) -> None:
    """Cut at any place, or with any byte changed."""
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        unpacked(whole[:at])
        unpacked(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    assert zlib.crc32(whole)
