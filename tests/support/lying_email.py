"""An email service over the kit's real code whose `block_url` does nothing: `lying_email.py {idle|liar} --config FILE`.

`idle` looks honestly afterwards; `liar` says that it is done.
"""

import sys
from collections.abc import Sequence

from quell.remediation.v1 import item_pb2

from quell_email import __main__ as program
from quell_email import offers
from quell_email.effects.block_url import BlockUrl
from quell_executor.effect import Finding, Plan, Progress


class Idle(BlockUrl):
    """Does nothing."""

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Say that it is done, by raising nothing."""


class Liar(Idle):
    """Does nothing and says, when asked to look, that it is done."""

    looks = 0

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Tell the truth before, and not afterwards."""
        self.looks += 1
        honest = await super().probe(plan)
        return honest if self.looks == 1 else [Finding(item_pb2.ITEM_STATE_DONE) for _ in plan.items]


if __name__ == "__main__":
    setattr(offers, "BlockUrl", {"idle": Idle, "liar": Liar}[sys.argv.pop(1)])  # noqa: B010 - a name of its imports
    sys.exit(program.main())
