"""A file under lock opens for the device and for the deployment's recovery key, and for nobody else."""

import io
import tempfile

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from quell_agent.before import Before, Folder, Inode
from quell_agent.files import CHUNK, Content
from quell_agent.vault_file import Manifest, VaultFile, VaultKeys, write
from quell_runtime.data_keys import recovered
from quell_runtime.locked import VaultDamagedError

RECOVERY = X25519PrivateKey.from_private_bytes(b"r" * 32)
KEYS = VaultKeys(b"i" * 32, RECOVERY.public_key().public_bytes_raw)
INODE = Inode(1, 2, 1, 5, 0o4751, 3, 4, 5, 6, 0x10, {"user.note": "00ff"})
BEFORE = Before("/a/\udcff", Content("ab", "cd"), "record", ("/a/\udcff",), INODE, Folder(1, 9, 7, 8))


def locked(content: bytes, keys: VaultKeys = KEYS) -> bytes:
    """Lock some bytes."""
    out = io.BytesIO()
    with tempfile.TemporaryFile() as source:
        source.write(content)
        source.flush()
        write(out, source.fileno(), Manifest("actions/1", (BEFORE,)), keys)
    return out.getvalue()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_what_is_locked_comes_back(size: int) -> None:
    """At every edge of a chunk, with its manifest."""
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    opened = VaultFile(io.BytesIO(locked(content)), KEYS.unwrap)
    assert opened.manifest == Manifest("actions/1", (BEFORE,))
    assert b"".join(opened.blocks()) == content


def test_the_recovery_key_opens_what_a_lost_device_locked() -> None:
    """The deployment's own key needs nothing of the device's."""
    opened = VaultFile(io.BytesIO(locked(b"content")), lambda wraps: recovered(wraps, b"r" * 32))
    assert b"".join(opened.blocks()) == b"content"
    with pytest.raises(VaultDamagedError):
        VaultFile(io.BytesIO(locked(b"content")), lambda wraps: recovered(wraps, b"s" * 32))


def test_without_a_recovery_key_only_the_device_opens() -> None:
    """A deployment without one still locks."""
    alone = VaultKeys(b"i" * 32, lambda: None)
    assert VaultFile(io.BytesIO(locked(b"x", alone)), alone.unwrap).digest()
    with pytest.raises(VaultDamagedError):
        VaultFile(io.BytesIO(locked(b"x", alone)), lambda wraps: recovered(wraps, b"r" * 32))


def test_another_device_does_not_open_it() -> None:
    """Its identity key is another."""
    with pytest.raises((VaultDamagedError, InvalidTag)):
        VaultFile(io.BytesIO(locked(b"content")), VaultKeys(b"j" * 32, lambda: None).unwrap)


WHOLE = locked(b"some content that matters")


@given(place=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_no_changed_byte_is_believed(place: int, flip: int) -> None:
    """Wherever a byte is changed, it does not open; but for the second wrap, which the device does not read."""
    changed = WHOLE[:place] + bytes([WHOLE[place] ^ flip]) + WHOLE[place + 1 :]
    try:
        content = b"".join(VaultFile(io.BytesIO(changed), KEYS.unwrap).blocks())
    except VaultDamagedError:
        return
    assert content == b"some content that matters"


@given(end=st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_does_not_open(end: int) -> None:
    """However much is missing."""
    with pytest.raises(VaultDamagedError):
        list(VaultFile(io.BytesIO(WHOLE[:end]), KEYS.unwrap).blocks())


def test_a_plan_of_a_file_survives_writing() -> None:
    """Names that are no UTF-8, too."""
    assert Before.load(BEFORE.dump()) == BEFORE
    nameless = Before("/memfd:x", Content("ab", "cd"), "record", ("/memfd:x",), refused="NOT_REACHABLE")
    assert Before.load(nameless.dump()) == nameless


def test_what_is_added_while_it_is_locked_has_no_place_in_it() -> None:
    """However fast others, who have the file open, write on."""
    content = b"c" * 2 * CHUNK

    class Growing(io.BytesIO):
        def write(self, data: object) -> int:
            source.write(b"more" * CHUNK)
            source.flush()
            return super().write(data)  # type: ignore[arg-type]

    out = Growing()
    with tempfile.TemporaryFile() as source:
        source.write(content)
        source.flush()
        write(out, source.fileno(), Manifest("actions/1", (BEFORE,)), KEYS)
        assert source.tell() > len(content)
    assert b"".join(VaultFile(io.BytesIO(out.getvalue()), KEYS.unwrap).blocks()) == content
