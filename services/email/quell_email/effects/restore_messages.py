"""Restore messages: lets go of what one action soft-deleted, in all its mailboxes or in some."""

from quell_email.effects.by_action import ByAction


class RestoreMessages(ByAction):
    """The release."""
