"""What the email service refuses."""

from quell_runtime.errors import InvalidError


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
