"""Block URL: clicks on what a pattern matches are refused, in mail that was delivered too."""

from collections.abc import Sequence
from dataclasses import replace

from quell.remediation.v1 import email_pb2, item_pb2, remediation_pb2

from quell_email.domain.errors import PatternInvalidError
from quell_email.domain.patterns import pattern_of
from quell_email.store.urls import UrlTable
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError


class BlockUrl:
    """The effect. Its one item is the pattern in canonical form."""

    def __init__(self, urls: UrlTable) -> None:
        """Work on this table."""
        self._urls = urls

    async def plan(self, order: email_pb2.BlockUrl, within: Sequence[item_pb2.Item] | None) -> Plan:  # noqa: ARG002
        """Plan one entry. One pattern is never a cluster, so there is no `within`."""
        try:
            pattern = str(pattern_of(order.pattern))
        except PatternInvalidError as error:
            raise RefusedError(error.reason, error.message) from None
        return Plan((_planned(pattern),), frozenset({key_of(pattern)}))

    async def apply(self, plan: Plan, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Write the entries, or take them out."""
        patterns = [item.item.url.pattern for item in plan.items]
        if plan.reverts:
            await self._urls.unblock(patterns)
        else:
            await self._urls.block(patterns, plan.action)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look into the table and the matcher."""
        entries = await self._urls.entries([item.item.url.pattern for item in plan.items])
        return [
            Finding(
                item_pb2.ITEM_STATE_DONE
                if (item.item.url.pattern in entries) is not plan.reverts
                else item_pb2.ITEM_STATE_PLANNED
            )
            for item in plan.items
        ]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to take the entry out."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the entries."""
        return [
            Mark(
                entry.action,
                remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=entry.pattern)),
                _planned(entry.pattern),
            )
            for entry in await self._urls.all()
        ]


def _planned(pattern: str) -> PlannedItem:
    # Before it there was no entry, or one of our own: either way nothing that undo would have to bring back.
    key = key_of(pattern)
    return PlannedItem(key, item_pb2.Item(url=item_pb2.UrlItem(pattern=pattern)), b"", frozenset({key}))


def key_of(pattern: str) -> str:
    """Return the item key of a pattern in canonical form."""
    return f"email.url:{pattern}"
