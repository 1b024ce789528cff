"""Which actions that bring something in were handed to whom: written down before, since uploads outlive the service."""

from collections.abc import Iterable

import structlog
from quell.warrant.v1 import warrant_pb2

from quell_device.domain.artifacts import NOTED, ErrandRecord
from quell_device.store.tables import ERRANDS
from quell_runtime.errors import QuellError
from quell_runtime.seams import Clock
from quell_runtime.store import Store, View

_log = structlog.get_logger()


class Errands:
    """What is handed down is noted here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keep them in the store."""
        self._store = store
        self._clock = clock

    async def note(self, handed: Iterable[tuple[warrant_pb2.Warrant, str]]) -> None:
        """Note the warrants (each with its device) that bring something in. It never keeps one from being handed down.

        A warrant whose errand could not be noted can still be carried out; what it brings is then refused.
        """
        now = self._clock.now()
        kinds = [(warrant.action, device, warrant.remediation.WhichOneof("kind")) for warrant, device in handed]
        errands = [ErrandRecord(action, device, kind, now) for action, device, kind in kinds if kind in NOTED]

        def decide(view: View) -> None:
            for errand in errands:
                # What is handed down again is the same errand: its time counts from the first.
                if view.get(ERRANDS, errand.action) is None:
                    view.put(ERRANDS, errand)

        if not errands:
            return
        try:
            await self._store.change(decide, [(ERRANDS, errand.action) for errand in errands], urgent=True)
        except QuellError as error:
            _log.error("errands_not_noted", reason=error.reason)
