"""What one executor has to do: in memory, in order, for the targets that are there; the outbox is where it is kept."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable

from quell_actioncenter.application.book import ONLY_READS
from quell_actioncenter.domain.records import OutboxRecord

READS_A_DEVICE = 2
"""Most scans and collections without a receipt at one device: the rest waits here, where others can overtake it."""


class Ready:
    """Rows of the outbox whose targets are there, and which of them are on the wire: sent and without a receipt."""

    def __init__(self) -> None:
        """Begin with nothing, and no device there."""
        self.rows: dict[str, OutboxRecord] = {}
        self.there: set[str] = {""}
        self._wire: set[str] = set()
        self._reads: Counter[str] = Counter()
        self._of_device: defaultdict[str, set[str]] = defaultdict(set)
        self._heap: list[tuple[int, int, str]] = []
        self._queued: set[str] = set()
        self._held_reads: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._frozen: list[str] = []

    def __len__(self) -> int:
        """Return how many are on the wire."""
        return len(self._wire)

    def is_on_wire(self, action: str) -> bool:
        """Tell whether an action was sent on this stream and has no receipt."""
        return action in self._wire

    def is_there(self, row: OutboxRecord) -> bool:
        """Tell whether the row's target can be reached."""
        return row.device in self.there

    def put(self, row: OutboxRecord) -> None:
        """Take a row in, or its newer form; its target is there."""
        self.rows[row.action] = row
        self._of_device[row.device].add(row.action)
        if row.action not in self._wire:
            self._push(row)

    def drop(self, action: str) -> None:
        """Forget a row: it has its receipt, or its end."""
        row = self.rows.pop(action, None)
        if row is not None:
            self._of_device[row.device].discard(action)
            self.unsent(row)

    def unsent(self, row: OutboxRecord) -> None:
        """Note that a row is not on the wire after all."""
        if row.action in self._wire:
            self._wire.discard(row.action)
            if row.order == ONLY_READS:
                self._reads[row.device] -= 1
                held = self._held_reads[row.device]
                while held and not self._again(heapq.heappop(held)[1]):
                    pass

    def refused(self, row: OutboxRecord) -> None:
        """Note that a row could not be sent now; it is looked at again with what was frozen."""
        self.unsent(row)
        self._frozen.append(row.action)

    def left(self, device: str) -> list[OutboxRecord]:
        """Note that a target is away, and return its rows; they are no longer kept here."""
        self.there.discard(device)
        gone = [self.rows[action] for action in sorted(self._of_device.pop(device, ()))]
        for row in gone:
            self.unsent(row)
            del self.rows[row.action]
        self._held_reads.pop(device, None)
        return gone

    def take(self, most: int, passes: Callable[[OutboxRecord], bool]) -> list[OutboxRecord]:
        """Return at most so many rows to send now, in order; they are on the wire from here on.

        What does not pass is set aside until `thaw`; reads beyond what their device may have, until one has ended.
        """
        taken: list[OutboxRecord] = []
        while self._heap and len(taken) < most:
            action = heapq.heappop(self._heap)[2]
            self._queued.discard(action)
            row = self.rows.get(action)
            if row is None or action in self._wire:
                continue
            reads = row.order == ONLY_READS
            if not passes(row):
                self._frozen.append(action)
            elif reads and self._reads[row.device] >= READS_A_DEVICE:
                heapq.heappush(self._held_reads[row.device], (row.sequence, action))
            else:
                self._wire.add(action)
                self._reads[row.device] += reads
                taken.append(row)
        return taken

    def thaw(self) -> None:
        """Look again at what did not pass."""
        frozen, self._frozen = self._frozen, []
        for action in frozen:
            self._again(action)

    def _again(self, action: str) -> bool:
        row = self.rows.get(action)
        if row is None or action in self._wire:
            return False
        self._push(row)
        return True

    def _push(self, row: OutboxRecord) -> None:
        if row.action not in self._queued:
            self._queued.add(row.action)
            heapq.heappush(self._heap, (row.order, row.sequence, row.action))
