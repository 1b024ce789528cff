"""Release messages: lets go of what one action quarantined, to all the mailboxes that it was taken from or to some."""

from quell_email.effects.by_action import ByAction


class ReleaseMessages(ByAction):
    """The release."""
