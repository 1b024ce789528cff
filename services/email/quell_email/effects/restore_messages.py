"""Restore messages: lets go of what one action soft-deleted, in all its mailboxes or in some."""

from quell.remediation.v1 import email_pb2

from quell_email.domain.selection import address_of
from quell_executor.effect import Owned


class RestoreMessages:
    """The release."""

    def names(self, order: email_pb2.RestoreMessages) -> frozenset[str]:
        """Return the key of the action that is named."""
        return frozenset({f"email.action:{order.action.removeprefix('actions/')}"})

    def chooses(self, order: email_pb2.RestoreMessages, owned: Owned) -> bool:
        """Tell whether the action deleted it, and from a mailbox that is meant."""
        mailboxes = {address_of(name) for name in order.mailboxes}
        mailbox = address_of(owned.item.message.mailbox)
        return owned.action == order.action and (not mailboxes or mailbox in mailboxes)
