"""How an agent goes that left our care: its receipt stored, it is disabled, and forgets all but its vault."""

import asyncio
import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from quell_agent import commands
from quell_executor.journal.records import OUTGOING, Sort
from quell_runtime.store import Change, Store

log = structlog.get_logger()
FORGOTTEN = (
    *("journal.db", "journal.db-wal", "journal.db-shm", "lock"),
    *("identity.pem", "home.json", "hosts.json", "token", "talker"),
    *("isolation", "execution", "package", "sample", "signatures"),
)
"""All of ours in the data folder but the vault and the list of vaults. What a stranger put there is not ours."""
LEAVING = "leaving"
UNITS = ("quell-agent.service", "quell-agent-isolation.service", "quell-agent-restriction.service")
SYSTEMD = Path("/run/systemd/system")
SOON = 20.0


def note(data: Path) -> Path:
    """Return the file in which the effect notes by which action the machine left."""
    return data / "offboarded"


class Departure:
    """Waits for the moment: the machine has left, and the centre has stored its receipt for that."""

    def __init__(self, data: Path, journal: Store) -> None:
        """Watch the journal of the agent with this data."""
        self._data = data
        self._journal = journal
        self._stored = asyncio.Event()
        journal.listen(self._heard)

    def _heard(self, changes: Sequence[Change[Any]]) -> None:
        if any(change.table is OUTGOING and change.after and change.after.stored for change in changes):
            self._stored.set()

    async def wait(self) -> None:
        """Return when it is time to go."""
        while True:
            # Before the look: what is stored while it lasts must not be missed.
            self._stored.clear()
            if await self._gone():
                return
            await self._stored.wait()

    async def _gone(self) -> bool:
        try:
            action = await asyncio.to_thread(note(self._data).read_text, "ascii")
        except FileNotFoundError:
            return False
        tail = "WHERE action = ? AND sort = ? AND stored = 1"
        return bool(await self._journal.select(OUTGOING, tail, (f"actions/{action}", Sort.RECEIPT.value)))


async def depart(data: Path) -> None:
    """Disable the agent where systemd runs it, and remove its keys and all that it knew; the vault stays, locked."""
    log.info("offboarded")
    if SYSTEMD.is_dir():  # noqa: ASYNC240 - one look, at the very end
        with contextlib.suppress(OSError, commands.ProgramLateError):
            await commands.run(commands.SYSTEMCTL, "disable", "--no-reload", *UNITS, timeout=SOON)
    await asyncio.to_thread(forget, data)


async def resumed(data: Path) -> bool:
    """Go on with a departure that was stopped half-way; tell whether there was one."""
    if not (data / LEAVING).exists():
        return False
    await depart(data)
    return True


def forget(data: Path) -> None:
    """Remove what is ours but the vault.

    The note is kept to the end under another name: who is stopped half-way has no journal any more that says that the
    receipt was stored, and perhaps no key.
    """
    with contextlib.suppress(FileNotFoundError):
        note(data).replace(data / LEAVING)
    for path in (data / name for name in (*FORGOTTEN, LEAVING)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
