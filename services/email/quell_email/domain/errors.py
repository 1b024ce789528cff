"""What the email service refuses."""

from quell_runtime.errors import AwayError, DamagedError, InvalidError, StateError, UnknownError


class HinderedError(Exception):
    """A message can't be put where it was, exactly. `reason` is in upper snake case; nothing was changed."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


class UrlInvalidError(InvalidError):
    """It is no absolute URL of the web, or none that any browser would follow."""

    reason = "URL_INVALID"


class PatternInvalidError(InvalidError):
    """It can't be blocked: no pattern, or one that would block a public suffix."""

    reason = "PATTERN_INVALID"


class QuarantinedMessageUnknownError(UnknownError):
    """No such message was ever in quarantine."""

    reason = "QUARANTINED_MESSAGE_UNKNOWN"


class NotInQuarantineError(StateError):
    """It was released, or purged."""

    reason = "NOT_IN_QUARANTINE"


class MessageUnparsableError(StateError):
    """It can't be read within the limits, so nothing of it can be shown."""

    reason = "MESSAGE_UNPARSABLE"


class ContentDamagedError(DamagedError):
    """What lies in the vault is not what was put there."""

    reason = "CONTENT_DAMAGED"


class MailboxUnknownError(UnknownError):
    """There is no such mailbox."""

    reason = "MAILBOX_UNKNOWN"


class ForwardingsUnknownError(StateError):
    """It can't be told who sends mail on."""

    reason = "FORWARDINGS_UNKNOWN"


class BackendAwayError(AwayError):
    """The mail server does not answer, or not as it should."""

    reason = "BACKEND_AWAY"
