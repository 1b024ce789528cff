"""The quarantine of attachments over some mailboxes."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from quell.remediation.v1 import email_pb2, target_pb2

from kit_house import FakeClock
from quarantine import KEEP, KEYS
from quell_email.domain.mailboxes import Mailboxes
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_attachment import QuarantineAttachment
from quell_email.effects.replacing import Replacing
from quell_email.parsing.parser import Parser
from quell_email.vault.vault import Vault, opened_vault
from quell_runtime.seams import Point, nowhere


@dataclass(frozen=True)
class Attachments:
    """The effect with what it stands on."""

    effect: QuarantineAttachment
    replacing: Replacing
    vault: Vault
    clock: FakeClock
    mailboxes: Mailboxes


@contextlib.asynccontextmanager
async def attachments(
    mailboxes: Mailboxes, parser: Parser, folder: Path, point: Point = nowhere
) -> AsyncIterator[Attachments]:
    """Open the vault in a folder, and the effect over it."""
    clock = FakeClock()
    async with opened_vault(folder, KEYS, clock, point) as vault:
        replacing = Replacing(mailboxes, vault, parser, clock, point)
        effect = QuarantineAttachment(replacing, Choosing(mailboxes), KEEP)
        yield Attachments(effect, replacing, vault, clock, mailboxes)


def of_cluster(attachment: dict[str, str], **fields: object) -> email_pb2.QuarantineAttachment:
    """Order an attachment of a cluster out."""
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(**fields))  # type: ignore[arg-type]
    return email_pb2.QuarantineAttachment(messages=selector, **attachment)


def of_message(attachment: dict[str, str], mailbox: str = "", **told: object) -> email_pb2.QuarantineAttachment:
    """Order an attachment of one message out."""
    ref = target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}" if mailbox else "", **told)  # type: ignore[arg-type]
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
    return email_pb2.QuarantineAttachment(messages=selector, **attachment)
