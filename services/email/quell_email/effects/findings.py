"""What probes say of messages, in the same words for every kind."""

from quell.remediation.v1 import failure_pb2, item_pb2

from quell_executor.effect import Finding

UNPARSABLE = "MESSAGE_UNPARSABLE"
REFUSALS = {
    UNPARSABLE: "it can't be parsed, so nobody can tell whether it is meant: look at it by hand",
    "EXCLUDED_MAILBOX": "nothing is taken from this mailbox: the email service's own exclusion",
    "EXCLUDED_SIMULATION": "it belongs to a phishing simulation: the email service's own exclusion",
    "MESSAGE_SOFT_DELETED": "it is soft-deleted, so out of its user's sight already; restore it first",
    "MESSAGE_TOO_LARGE": "it is larger than what is worked on",
    "MESSAGE_SIGNED": "a signature covers the attachment: without it, it would no longer verify",
    "MESSAGE_ENCRYPTED": "it is encrypted, or packed by S/MIME: nobody can look inside, nor change it exactly",
    "MESSAGE_PARTIAL": "it is one piece of a message that was cut in several",
    "ATTACHMENT_WRAPPED": "the attachment lies in a message that was encoded as a whole",
    "STRUCTURE_AMBIGUOUS": "mail programs differ about where the attachment begins or ends",
}
OBSTACLES = {
    "FOLDER_GONE": "its folder is no longer there",
    "NAME_TAKEN": "another message has its place",
    "MESSAGE_CHANGED": "the message that we hold was changed",
    "KEYWORD_GONE": "its folder no longer knows one of its keywords",
    "RECORD_LOST": "the record of where it was is lost",
    "CONTENT_LOST": "its bytes are no longer in the vault",
    "MESSAGE_GONE": "the message without the attachment is no longer in the mailbox",
    "MESSAGE_EDITED": "the message was edited since the attachment was taken out",
    "MESSAGE_HELD": "the message is soft-deleted or in quarantine: bring it back first",
    "NOT_THE_NEWEST": "another attachment was taken out of it since: put that back first",
}
PURGED = failure_pb2.Failure(reason="MESSAGE_PURGED", message="it was held for its time, and is gone for good")


def left_alone(reason: str) -> Finding:
    """Return what is found of a message that a rule leaves alone."""
    failure = failure_pb2.Failure(reason=reason, message=REFUSALS[reason])
    return Finding(item_pb2.ITEM_STATE_REFUSED, failure)


def hindered(reason: str) -> Finding:
    """Return what is found of a message that can't be put back exactly."""
    failure = failure_pb2.Failure(reason=reason, message=OBSTACLES.get(reason, ""))
    return Finding(item_pb2.ITEM_STATE_CONFLICT, failure)
