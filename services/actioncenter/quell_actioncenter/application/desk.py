"""Where decisions are made: each use case is one book in one transaction."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from quell_actioncenter.application.births import InForce
from quell_actioncenter.application.book import SEQUENCE, Book
from quell_actioncenter.application.history import CHAIN
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_actioncenter.store.tables import COUNTERS
from quell_runtime.seams import Clock, Rng
from quell_runtime.store import Store, Table, View

T = TypeVar("T")
Place = tuple[Table[Any], str | int]


class Desk:
    """What every use case stands on: store, clock, chance, and the policy in force."""

    def __init__(self, store: Store, clock: Clock, rng: Rng) -> None:
        """Stand on these; until another is loaded, the default policy is in force."""
        self.store = store
        self.clock = clock
        self.rng = rng
        self.in_force = InForce(read_policy(default_document()), "policies/0")

    async def decide(self, work: Callable[[Book], T], reads: Sequence[Place] = (), *, urgent: bool = False) -> T:
        """Run a pure decision over a book and return what it returns, once that is durable; see `Store.change`."""
        now = self.clock.now()

        def decision(view: View) -> T:
            book = Book(view, now)
            result = work(book)
            book.close()
            return result

        return await self.store.change(decision, [(COUNTERS, CHAIN), (COUNTERS, SEQUENCE), *reads], urgent=urgent)
