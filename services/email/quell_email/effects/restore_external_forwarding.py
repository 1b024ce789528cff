"""Restore external forwarding: gives back what one action took out of a mailbox's scripts and files."""

from quell.remediation.v1 import email_pb2

from quell_executor.effect import Owned


class RestoreExternalForwarding:
    """The release."""

    def names(self, order: email_pb2.RestoreExternalForwarding) -> frozenset[str]:
        """Return the key of the action that is named."""
        return frozenset({f"email.action:{order.action.removeprefix('actions/')}"})

    def chooses(self, order: email_pb2.RestoreExternalForwarding, owned: Owned) -> bool:
        """Tell whether the action turned it off."""
        return owned.action == order.action
