"""Unblock URL: lets go of what block_url did, by the pattern, however it is spelt."""

from quell.remediation.v1 import email_pb2

from quell_email.domain.errors import PatternInvalidError
from quell_email.domain.patterns import pattern_of
from quell_email.effects.block_url import key_of
from quell_executor.effect import Owned, RefusedError


class UnblockUrl:
    """The release."""

    def names(self, order: email_pb2.UnblockUrl) -> frozenset[str]:
        """Return the key of the pattern."""
        try:
            return frozenset({key_of(str(pattern_of(order.pattern)))})
        except PatternInvalidError as error:
            raise RefusedError(error.reason, error.message) from None

    def chooses(self, order: email_pb2.UnblockUrl, owned: Owned) -> bool:
        """Tell whether it is this pattern."""
        return owned.key in self.names(order)
