"""What the email service refuses."""

from quell_runtime.errors import InvalidError


class UrlInvalidError(InvalidError):
    """It is no absolute URL of the web, or none that any browser would follow."""

    reason = "URL_INVALID"


class PatternInvalidError(InvalidError):
    """It can't be blocked: no pattern, or one that would block a public suffix."""

    reason = "PATTERN_INVALID"
