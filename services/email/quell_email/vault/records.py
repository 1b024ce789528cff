"""What the vault knows of each thing that it keeps. It stays for ever: what was released and what was purged differ."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from quell.remediation.v1 import item_pb2

from quell_runtime.store import table


class KeptState(StrEnum):
    """Where a kept thing is. The last two never change."""

    TAKING = auto()
    """The vault has it, and its mailbox may still have it too."""
    HELD = auto()
    """The vault alone has it."""
    RELEASED = auto()
    """It is back where it was."""
    PURGED = auto()
    """It was kept for its time, and is gone for good."""


OURS = (KeptState.TAKING, KeptState.HELD)
"""The states of what is still in the vault."""


@dataclass(frozen=True)
class Kept:
    """One thing that an action took: what it was, and where its bytes are.

    `id` is made by `kept_id`. `kind` and `action` (the bare id) are what took it, `key` is its item key, `mailbox` its
    canonical address, `item` how people see it. `contents` are the SHA-256 of the bytes, which several records may
    share; `before` is what restores it, in the effect's own bytes. At `purge_time` it goes for good, unless it was
    released before; `end_time` is when it was released or purged.
    """

    id: str
    kind: str
    action: str
    key: str
    mailbox: str
    item: item_pb2.Item
    contents: tuple[str, ...]
    before: bytes
    state: KeptState
    take_time: datetime
    purge_time: datetime
    end_time: datetime | None = None


KEPT = table(Kept, "kept", "id")


def kept_id(action: str, key: str) -> str:
    """Return the id of what one action took under one item key: the same for the same, however often it is done."""
    return hashlib.sha256(f"{action}:{key}".encode()).hexdigest()[:32]
