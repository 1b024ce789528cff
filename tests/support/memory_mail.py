"""Effects on mail and URLs in memory: for tests of what is above an executor. The kit around them is the real one.

What a target's text says decides how it goes: `refused` can't be planned, `stuck` never ends, `vain` changes nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from quell.remediation.v1 import email_pb2, item_pb2, target_pb2

from quell_executor.effect import Effect, Finding, Owned, Plan, PlannedItem, Progress, Reader, RefusedError, Release

MAILBOXES = ("ann", "bob", "carol")


@dataclass
class Mail:
    """The world: what is changed now, by item key."""

    changed: set[str] = field(default_factory=set)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it, and what is stuck goes on."""

    def offers(self) -> dict[str, Effect[Any] | Reader[Any] | Release[Any]]:
        """Return the kinds that are served."""
        return {
            "block_url": Blocks(self),
            "unblock_url": Unblocks(),
            "soft_delete_messages": Deletes(self),
            "restore_messages": Restores(),
        }


class _Changes:
    """What all effects here share: an item is changed if its key is in the world."""

    def __init__(self, mail: Mail) -> None:
        self.mail = mail

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Make the changes."""
        keys = {item.key for item in plan.items}
        progress.report("at it", percent=50)
        if any("stuck" in key for key in keys):
            await self.mail.released.wait()
        if any("vain" in key for key in keys):
            return
        if plan.reverts:
            self.mail.changed -= keys
        else:
            self.mail.changed |= keys

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look at the world."""
        as_ordered = [(item.key in self.mail.changed) != plan.reverts for item in plan.items]
        return [Finding(item_pb2.ITEM_STATE_DONE if so else item_pb2.ITEM_STATE_PLANNED) for so in as_ordered]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back."""
        return replace(plan, reverts=True)


class Blocks(_Changes):
    """Blocks URLs."""

    async def plan(self, order: email_pb2.BlockUrl, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        if "refused" in order.pattern:
            raise RefusedError("PROTECTED", "it is protected here")
        key = f"email.url:{order.pattern}"
        item = item_pb2.Item(url=item_pb2.UrlItem(pattern=order.pattern))
        return Plan((PlannedItem(key, item, b"before"),), frozenset({key}))


class Unblocks:
    """Unblocks URLs."""

    def names(self, order: email_pb2.UnblockUrl) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"email.url:{order.pattern}"})

    def chooses(self, order: email_pb2.UnblockUrl, owned: Owned) -> bool:
        """Tell whether it means this URL."""
        return owned.key == f"email.url:{order.pattern}"


class Deletes(_Changes):
    """Deletes messages: of a cluster one in each mailbox, as its subject says; else what is named."""

    async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan it."""
        found = list(within) if within is not None else _found(order.messages)
        items = [PlannedItem(f"email.message:{_key(item.message)}", item, b"before") for item in found]
        return Plan(tuple(items), frozenset({f"email.query:{sha256(order.SerializeToString()).hexdigest()}"}))


class Restores:
    """Restores messages."""

    def names(self, order: email_pb2.RestoreMessages) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"email.query:{order.action}"})

    def chooses(self, order: email_pb2.RestoreMessages, owned: Owned) -> bool:
        """Tell whether it means this message."""
        return owned.action == order.action


def _key(message: item_pb2.MessageItem) -> str:
    return f"{message.mailbox}:{message.sha256}:{message.subject}"


def _found(selector: target_pb2.MessageSelector) -> list[item_pb2.Item]:
    if selector.WhichOneof("by") == "cluster":
        subject = selector.cluster.subject
        refs = [(f"mailboxes/{who}@example.org", sha256(f"{who}{subject}".encode()).hexdigest()) for who in MAILBOXES]
    else:
        subject = ""
        refs = [(ref.mailbox, ref.sha256) for ref in selector.messages.messages]
    messages = [item_pb2.MessageItem(mailbox=m, folder="INBOX", sha256=digest, subject=subject) for m, digest in refs]
    return [item_pb2.Item(message=message) for message in messages]
