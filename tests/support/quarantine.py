"""The quarantine over some mailboxes, and how those look to their users whatever their files are called."""

import contextlib
import errno
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kit_house import FakeClock
from mail_tree import MailTree
from quell_email.domain.mailboxes import Mailboxes
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_messages import QuarantineMessages
from quell_email.effects.taking import Taking
from quell_email.maildir import names
from quell_email.parsing.parser import Parser
from quell_email.vault.vault import HOLDER, Vault, opened_vault
from quell_runtime.data_keys import DataKeys
from quell_runtime.seams import Point, nowhere

KEEP = timedelta(days=30)
KEYS = DataKeys(b"v" * 32, lambda: None, HOLDER)


@dataclass(frozen=True)
class Quarantine:
    """The effect with what it stands on."""

    effect: QuarantineMessages
    vault: Vault
    clock: FakeClock
    mailboxes: Mailboxes


@contextlib.asynccontextmanager
async def quarantine(
    mailboxes: Mailboxes, parser: Parser, folder: Path, point: Point = nowhere
) -> AsyncIterator[Quarantine]:
    """Open the vault in a folder, and the effect over it."""
    clock = FakeClock()
    async with opened_vault(folder, KEYS, clock, point) as vault:
        taking = Taking(mailboxes, vault, parser, clock, point)
        yield Quarantine(QuarantineMessages(taking, Choosing(mailboxes), clock, KEEP), vault, clock, mailboxes)


def seen(tree: MailTree, address: str) -> Counter[object]:
    """Return every message in sight: folder, flags, keywords, dates, owners and bytes."""
    found: Counter[object] = Counter()
    for path, (raw, *facts, keywords) in tree.photograph(address).messages.items():
        folder, _, name = path.rpartition("/")
        flags = "".join(sorted(sign for sign in name.partition(names.INFO)[2] if sign.isupper()))
        found[folder, flags, raw, tuple(facts), keywords] += 1
    return found


def all_seen(tree: MailTree) -> dict[str, Counter[object]]:
    """Return it of every mailbox."""
    return {path.name: seen(tree, path.name) for path in sorted(tree.base.iterdir())}


def full_at(place: str) -> Callable[[str], None]:
    """Return a point at which the disk is full."""

    def point(name: str) -> None:
        if name == place:
            raise OSError(errno.ENOSPC, "no space left on device")

    return point
