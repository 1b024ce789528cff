"""The root of everything that we raise on purpose."""

from collections.abc import Sequence


class QuellError(Exception):
    """Something that a caller can be told about. The message is for people, `reason` for programs.

    Subclasses set `reason` (upper snake case, as `Errors:` in the contracts names it). `metadata` holds short facts
    for programs, such as the state that was met.
    """

    reason: str = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        """Keep the message and the facts."""
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidError(QuellError):
    """What was asked is malformed. `field` is the path of the field: `evidence[17].file.sha256`; empty: the whole."""

    reason = "INVALID"

    def __init__(self, message: str, field: str = "", **metadata: str) -> None:
        """Keep the field."""
        super().__init__(message, **metadata)
        self.field = field

    @property
    def descriptions(self) -> Sequence[str]:
        """What is wrong with the field, a sentence a mistake."""
        return (self.message,)


class UnknownError(QuellError):
    """There is no such thing, or the caller may not see it."""


class TakenError(QuellError):
    """The id belongs to something with other content."""


class StateError(QuellError):
    """It can't be done in the state that things are in."""


class ChangedError(QuellError):
    """It is no longer what the caller saw."""


class ForbiddenError(QuellError):
    """The caller may not do it."""


class NotPermittedError(ForbiddenError):
    """The caller is known, and lacks the right; metadata `permission` names it where there is one."""

    reason = "NOT_PERMITTED"


class AwayError(QuellError):
    """Somebody whom it needs can't be reached now."""


class FullError(QuellError):
    """There is no room to store it. Nothing was stored."""

    reason = "STORE_FULL"


class RangeError(QuellError):
    """It begins or goes on where nothing is."""


class CommitUnknownError(QuellError):
    """The store could not say whether it stored; read again by id."""

    reason = "COMMIT_UNKNOWN"


class IdentityError(QuellError):
    """The caller has not shown who it is."""

    reason = "IDENTITY_INVALID"


class NotServedError(QuellError):
    """The contract has it, this version does not serve it."""

    reason = "NOT_SERVED_YET"


class DamagedError(QuellError):
    """What came is not what was announced."""

    reason = "DIGEST_MISMATCH"


class PortTakenError(StateError):
    """Somebody else listens there."""

    reason = "PORT_TAKEN"
