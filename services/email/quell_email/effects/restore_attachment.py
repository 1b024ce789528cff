"""Restore an attachment: lets go of what one action took out of messages, in all its mailboxes or in some."""

from quell_email.effects.by_action import ByAction


class RestoreAttachment(ByAction):
    """The release."""
