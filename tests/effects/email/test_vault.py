"""What the email service's vault is given it gives back, and lets go only when nothing that is kept needs it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from quell.remediation.v1 import item_pb2

from kit_house import FakeClock
from mail_tree import CAMPAIGN, sha256
from quell_email.vault.records import Kept, KeptState, kept_id
from quell_email.vault.vault import HOLDER, Vault, opened_vault
from quell_runtime import pki
from quell_runtime.data_keys import DataKeys, recovered
from quell_runtime.locked import Locked, VaultDamagedError

RECOVERY = X25519PrivateKey.from_private_bytes(b"r" * 32)
KEYS = DataKeys(b"v" * 32, RECOVERY.public_key().public_bytes_raw, HOLDER)
KIND = "quarantine_messages"
CLOCK = FakeClock()


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    """Open a vault."""
    async with opened_vault(tmp_path / "vault", KEYS, CLOCK) as found:
        yield found


def files(tmp_path: Path) -> dict[str, bytes]:
    """Return what lies in its folder."""
    return {path.name: path.read_bytes() for path in (tmp_path / "vault/contents").iterdir()}


def record(content: str, action: str = "1", key: str = "email.message:ann@example.org:x") -> Kept:
    """Return a record of something that is being taken."""
    item = item_pb2.Item(message=item_pb2.MessageItem(mailbox="mailboxes/ann@example.org", sha256=content))
    now = CLOCK.now()
    state, until = KeptState.TAKING, now + timedelta(days=30)
    return Kept(kept_id(action, key), KIND, action, key, "ann@example.org", item, (content,), b"{}", state, now, until)


async def keep(vault: Vault, content: bytes, **fields: str) -> Kept:
    """Take something in, as an effect does."""
    kept = record(await vault.put(content), **fields)
    await vault.keep([kept])
    await vault.settle([kept.id])
    return replace(kept, state=KeptState.HELD)


@pytest.mark.parametrize("content", [b"", CAMPAIGN, b"x" * (1 << 20), b"y" * ((1 << 20) + 1)])
async def test_what_is_put_comes_back_and_lies_there_under_lock(vault: Vault, tmp_path: Path, content: bytes) -> None:
    """By its SHA-256; the disk has nothing of it in the clear, and the recovery key opens it without the service."""
    digest = await vault.put(content)
    assert (digest, await vault.get(digest)) == (sha256(content), content)
    (locked,) = (tmp_path / "vault/contents").iterdir()
    assert locked.name == digest
    assert content == b"" or content[:20] not in locked.read_bytes()
    with locked.open("rb") as source:
        assert b"".join(Locked(source, lambda wraps: recovered(wraps, b"r" * 32)).blocks()) == content


async def test_another_key_does_not_open_it(vault: Vault, tmp_path: Path) -> None:
    """Nor does the right one open what was changed, renamed, or is not there."""
    digest, other = await vault.put(CAMPAIGN), await vault.put(b"other")
    folder = tmp_path / "vault/contents"
    (folder / other).rename(folder / digest)
    for wrong in (digest, other):
        with pytest.raises(VaultDamagedError):
            await vault.get(wrong)
    again = await vault.put(b"other")
    flipped = bytearray((folder / again).read_bytes())
    flipped[-1] ^= 1
    (folder / again).write_bytes(flipped)
    with pytest.raises(VaultDamagedError):
        await vault.get(again)
    async with opened_vault(tmp_path / "else", DataKeys(b"w" * 32, lambda: None, HOLDER), CLOCK) as stranger:
        (tmp_path / "else/contents" / digest).write_bytes((folder / digest).read_bytes())
        with pytest.raises(VaultDamagedError):
            await stranger.get(digest)


async def test_bytes_go_with_the_last_that_needs_them(vault: Vault, tmp_path: Path) -> None:
    """Two records of one content: released one after the other, the bytes go with the second."""
    first, second = await keep(vault, CAMPAIGN), await keep(vault, CAMPAIGN, action="2")
    await vault.end([first.id], KeptState.RELEASED)
    assert await vault.get(sha256(CAMPAIGN)) == CAMPAIGN
    assert await vault.held(KIND) == [second]
    await vault.end([second.id], KeptState.PURGED)
    assert files(tmp_path) == {}
    assert [one.state for one in await vault.of(KIND, [first.key])] == [KeptState.RELEASED, KeptState.PURGED]


async def test_what_was_put_and_is_not_recorded_yet_is_not_let_go(vault: Vault) -> None:
    """Somebody else ends with the same content between the two steps of one who takes it."""
    other = await keep(vault, CAMPAIGN)
    digest = await vault.put(CAMPAIGN)
    await vault.end([other.id], KeptState.RELEASED)
    assert await vault.get(digest) == CAMPAIGN
    await vault.keep([record(digest, "2")])
    await vault.end([kept_id("2", other.key)], KeptState.RELEASED)
    with pytest.raises(VaultDamagedError):
        await vault.get(digest)


async def test_released_and_purged_never_change(vault: Vault) -> None:
    """Neither becomes the other, whoever comes later, nor the held again."""
    one, two = await keep(vault, CAMPAIGN), await keep(vault, b"two", key="k2")
    await vault.end([one.id], KeptState.RELEASED)
    await vault.end([two.id], KeptState.PURGED)
    await vault.end([two.id], KeptState.RELEASED)
    await vault.end([one.id], KeptState.PURGED)
    await vault.settle([one.id, two.id])
    (first,), (second,) = [await vault.of(KIND, [kept.key]) for kept in (one, two)]
    assert (first.state, second.state) == (KeptState.RELEASED, KeptState.PURGED)
    assert first.end_time == second.end_time == CLOCK.now()


async def test_purging_takes_what_is_due_and_nothing_else(vault: Vault, tmp_path: Path) -> None:
    """What was kept for its time, but nothing that is being given back just now, nor what has time left."""
    due = [await keep(vault, b"%d" % number, key=f"k{number}") for number in range(120)]
    left = await keep(vault, CAMPAIGN, key="later")
    await vault.put(CAMPAIGN)
    await vault.keep([replace(left, purge_time=left.purge_time + timedelta(seconds=1))])
    leaving = await keep(vault, b"leaving", key="leaving")
    clock = FakeClock()
    clock.wall = due[0].purge_time
    aged = Vault(vault.store, vault._contents, clock)  # noqa: SLF001 - the same vault, thirty days later
    async with aged.giving_back(KIND, ["leaving"]) as back:
        assert back == [leaving]
        assert await aged.purge() == 120
    assert {kept.key for kept in await vault.held(KIND)} == {"later", "leaving"}
    assert set(files(tmp_path)) == {sha256(CAMPAIGN), sha256(b"leaving")}
    assert (await aged.purge(), await aged.purge()) == (1, 0)
    async with aged.giving_back(KIND, ["leaving"]) as back:
        assert back == []


async def test_what_a_crash_left_is_swept_and_what_is_kept_is_not(tmp_path: Path) -> None:
    """A half that was being written, and bytes whose record never came."""
    async with opened_vault(tmp_path / "vault", KEYS, CLOCK) as vault:
        kept = await keep(vault, CAMPAIGN)
        await vault.put(b"orphan")
        (tmp_path / "vault/contents/00.part").write_bytes(b"half")
    async with opened_vault(tmp_path / "vault", KEYS, CLOCK) as vault:
        assert set(files(tmp_path)) == {sha256(CAMPAIGN)}
        assert await vault.held(KIND) == [kept]


def recovering(tmp_path: Path, key: X25519PrivateKey) -> "subprocess.CompletedProcess[str]":
    """Run the command as people do."""
    (tmp_path / "recovery.pem").write_bytes(pki.key_pem(key))
    command: list[str | Path] = [sys.executable, "-m", "quell_email", "recover", "--data", tmp_path]
    command += ["--key", tmp_path / "recovery.pem", "--to", tmp_path / "out"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours


@pytest.fixture
async def left(tmp_path: Path) -> Kept:
    """Return what the vault of a service had that is lost now."""
    async with opened_vault(tmp_path / "vault", KEYS, CLOCK) as vault:
        return await keep(vault, CAMPAIGN)


def test_a_lost_services_vault_opens_with_the_recovery_key(tmp_path: Path, left: Kept) -> None:
    """Bytes by their digest, closed to others; a line tells whose they were and who took them, if records are left."""
    ended = recovering(tmp_path, RECOVERY)
    assert (ended.returncode, ended.stderr) == (0, "")
    whose = {"action": left.action, "mailbox": "mailboxes/ann@example.org", "folder": "", "message_id": ""}
    assert json.loads(ended.stdout) == {"sha256": sha256(CAMPAIGN), "messages": [whose]}
    (found,) = (tmp_path / "out").iterdir()
    assert (found.name, found.read_bytes()) == (sha256(CAMPAIGN), CAMPAIGN)
    assert found.stat().st_mode & 0o777 == 0o600
    (tmp_path / "vault/vault.db").unlink()
    assert json.loads(recovering(tmp_path, RECOVERY).stdout) == {"sha256": sha256(CAMPAIGN), "messages": []}


@pytest.mark.usefixtures("left")
def test_another_key_opens_nothing_of_it(tmp_path: Path) -> None:
    """Control: it says which file, exit code 1, and leaves nothing half written."""
    ended = recovering(tmp_path, X25519PrivateKey.generate())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "does not open" in ended.stderr
    assert list((tmp_path / "out").iterdir()) == []
