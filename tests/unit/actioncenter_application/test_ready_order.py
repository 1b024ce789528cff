"""What is ready goes out in order: what lets go first, what only reads last and few at a time."""

from dataclasses import replace

from quell_actioncenter.application.book import CHANGES, ONLY_READS, OVERTAKES
from quell_actioncenter.application.ready import READS_A_DEVICE, Ready
from quell_actioncenter.domain.records import OutboxRecord

DEVICE = "devices/a"


def row(number: int, order: int = CHANGES, device: str = DEVICE) -> OutboxRecord:
    """Return a row; its sequence is its number."""
    return OutboxRecord(f"actions/{number}", "device", device, "kind", order, number, 3)


def everything(_row: OutboxRecord) -> bool:
    """Let everything pass."""
    return True


def ready_with(*rows: OutboxRecord) -> Ready:
    """Return a queue whose device is there."""
    ready = Ready()
    ready.there.add(DEVICE)
    for one in rows:
        ready.put(one)
    return ready


def numbers(rows: list[OutboxRecord]) -> list[int]:
    """Return what they are."""
    return [one.sequence for one in rows]


def test_undo_overtakes_and_reads_come_last() -> None:
    """Within each, by sequence."""
    ready = ready_with(row(1, ONLY_READS), row(4), row(3), row(9, OVERTAKES))
    assert numbers(ready.take(10, everything)) == [9, 3, 4, 1]
    assert ready.take(10, everything) == []


def test_a_read_that_ends_lets_the_next_go_even_if_some_were_dropped() -> None:
    """What was called off while it waited does not hold the others up."""
    reads = [row(number, ONLY_READS) for number in range(1, 7)]
    ready = ready_with(*reads)
    assert numbers(ready.take(10, everything)) == [1, 2]
    assert len(ready) == READS_A_DEVICE
    ready.drop("actions/3")
    ready.drop("actions/1")
    assert numbers(ready.take(10, everything)) == [4]
    ready.drop("actions/4")
    ready.drop("actions/2")
    assert numbers(ready.take(10, everything)) == [5, 6]


def test_what_does_not_pass_waits_for_the_thaw() -> None:
    """And keeps its place."""
    ready = ready_with(row(1), row(2, OVERTAKES))
    assert numbers(ready.take(10, lambda one: one.order == OVERTAKES)) == [2]
    ready.put(row(3))
    ready.thaw()
    assert numbers(ready.take(10, everything)) == [1, 3]


def test_a_device_that_leaves_takes_its_rows_and_frees_the_window() -> None:
    """On its return all of it is sent again, reads within their limit."""
    rows = [row(1), row(2, ONLY_READS), row(3, ONLY_READS), row(4, ONLY_READS)]
    ready = ready_with(*rows, row(5, device=""))
    ready.take(10, everything)
    assert numbers(ready.left(DEVICE)) == [1, 2, 3, 4]
    assert len(ready) == 1
    ready.there.add(DEVICE)
    for one in rows:
        ready.put(replace(one, sealed=b"sealed"))
    assert numbers(ready.take(10, everything)) == [1, 2, 3]


def test_no_more_is_taken_than_there_is_room_for() -> None:
    """The rest stays, in order."""
    ready = ready_with(*map(row, range(1, 6)))
    assert numbers(ready.take(2, everything)) == [1, 2]
    assert ready.take(0, everything) == []
    assert numbers(ready.take(9, everything)) == [3, 4, 5]
