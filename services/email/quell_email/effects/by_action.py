"""Letting go of what one action took, in all its mailboxes or in some: what restores and releases have in common."""

from collections.abc import Sequence
from typing import Protocol

from quell_email.domain.selection import address_of
from quell_executor.effect import Owned


class NamesAction(Protocol):
    """An order that names the action to let go of, and perhaps mailboxes."""

    action: str

    @property
    def mailboxes(self) -> Sequence[str]:
        """Only these; empty for all."""


class ByAction:
    """The release."""

    def names(self, order: NamesAction) -> frozenset[str]:
        """Return the key of the action that is named."""
        return frozenset({f"email.action:{order.action.removeprefix('actions/')}"})

    def chooses(self, order: NamesAction, owned: Owned) -> bool:
        """Tell whether the action took it, and from a mailbox that is meant."""
        mailboxes = {address_of(name) for name in order.mailboxes}
        mailbox = address_of(owned.item.message.mailbox)
        return owned.action == order.action and (not mailboxes or mailbox in mailboxes)
