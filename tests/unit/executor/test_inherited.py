"""A journal that was lost: what the effects' own marks tell of is owned, reported, and taken back by hand."""

import pytest
from quell.remediation.v1 import outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from kit_house import House, stored
from kit_network import KEY, Network, isolate, join
from kit_world import content, give_back, quarantine
from quell_executor.journal.records import OUTGOING, OWNERS

BAD = content("bad")
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
GONE = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE


async def live_on(house: House, copy: bytes = b"") -> None:
    """Lose the journal, and live on; with an older copy of it, if there is one."""
    await house.crash()
    house.lose_journal(copy)
    house.center.reports.clear()
    await house.move_in()
    await house.connect()


async def isolated(house: House) -> warrant_pb2.Warrant:
    """Isolate, acknowledged."""
    warrant = house.center.warrant(isolate())
    house.send(warrant)
    house.say(stored=stored([(await house.receipt(warrant)).id]))
    await house.quiet()
    return warrant


def inherited(house: House) -> list[tuple[remediation_pb2.Remediation, outcome_pb2.EffectState.ValueType]]:
    """Return what was reported of what was inherited."""
    return [(report.inherited, report.effect) for report in house.center.reports if report.HasField("inherited")]


async def test_what_marks_tell_of_is_reported_and_released_by_hand(house: House, network: Network) -> None:
    """PROBED as inherited with what would make it so; after the release it is reported gone, and names who made it."""
    warrant = await isolated(house)
    await live_on(house)
    await house.until(lambda: inherited(house))
    assert inherited(house)[0] == (isolate(), IN_FORCE)
    released = await house.carry_out(join())
    assert released.outcome.effect == IN_FORCE
    assert list(released.takes_over) == [warrant.action]
    await house.until(lambda: inherited(house)[-1] == (isolate(), GONE))
    assert network.rules == "an administrator's"
    assert await house.store.select(OWNERS) == []


async def test_its_undo_is_not_known(house: House, network: Network) -> None:
    """JOURNAL_LOST: no warrant of it is here; nothing is changed."""
    warrant = await isolated(house)
    await live_on(house)
    await house.until(lambda: inherited(house))
    undone = await house.carry_out(isolate(), undo_of=warrant.action)
    assert (undone.disposition, undone.failure.reason) == (receipt_pb2.DISPOSITION_REFUSED, "JOURNAL_LOST")
    assert network.rules == "ours:"


async def test_what_the_journal_knows_is_not_inherited(house: House, network: Network) -> None:
    """Control: with the journal there, nothing is."""
    await isolated(house)
    await house.again()
    await house.until(lambda: house.center.reports)
    await house.quiet()
    assert inherited(house) == []
    assert network.rules == "ours:"


async def test_an_older_copy_reads_marks_too(house: House, network: Network) -> None:
    """A journal of before the isolation is put back."""
    await house.crash()
    copy = house.path.read_bytes()
    await house.move_in()
    await house.connect()
    await isolated(house)
    await live_on(house, copy)
    await house.until(lambda: inherited(house))
    assert (await house.carry_out(join())).outcome.effect == IN_FORCE
    assert network.rules == "an administrator's"


async def test_it_is_not_made_so_again(house: House, network: Network) -> None:
    """No warrant of it is known: when others take it away that is reported, and nothing more."""
    await isolated(house)
    await live_on(house)
    await house.until(lambda: inherited(house))
    network.meddle()
    made = list(network.applied)
    await house.again()
    await house.until(lambda: inherited(house)[-1][1] == GONE)
    assert house.center.reports[-1].event == effect_report_pb2.EFFECT_EVENT_DRIFTED
    assert (network.rules, network.applied) == ("open", made)


async def test_its_own_warrant_that_comes_again_takes_it_over(house: House, network: Network) -> None:
    """The centre never had the receipt: the same bytes come, find it so, and own it; its undo works."""
    warrant = house.center.warrant(isolate(hold=True))
    house.send(warrant)
    await house.receipt(warrant)
    await live_on(house)
    await house.until(lambda: inherited(house))
    house.center.receipts.clear()
    house.send(warrant)
    assert (await house.receipt(warrant)).outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    await house.until(lambda: inherited(house)[-1][1] == GONE)
    undone = await house.carry_out(isolate(), undo_of=warrant.action)
    assert (undone.outcome.effect, network.rules) == (IN_FORCE, "an administrator's")


async def test_what_is_under_way_is_its_own(house: House, network: Network) -> None:
    """It died between effect and receipt: the mark is there, and its own end tells, not an inheritance."""
    house.dies_at = "kit.applied"
    warrant = house.center.warrant(isolate())
    house.send(warrant)
    await house.until(lambda: not house.dies_at)
    await house.again()
    assert (await house.receipt(warrant)).outcome.effect == IN_FORCE
    await house.quiet()
    assert inherited(house) == []
    assert network.applied == [warrant.action.removeprefix("actions/")]
    assert (await house.store.load(OWNERS, KEY)).owner == warrant.action  # type: ignore[union-attr]


async def test_reports_do_not_pile_up(house: House, network: Network) -> None:
    """Connect after connect, one report of it waits at most; what others answer for stays theirs."""
    await isolated(house)
    await live_on(house)
    for _ in range(3):
        await house.connect()
        await house.quiet()
    await house.until(lambda: inherited(house))
    assert len(await house.store.select(OUTGOING, "WHERE sort = 'report'")) == 1
    assert network.rules == "ours:"


@pytest.mark.parametrize("by_action", [True, False])
async def test_files_come_back_by_content_or_by_the_action_that_took_them(house: House, by_action: bool) -> None:  # noqa: FBT001
    """Both kinds of release find what only marks tell of; of several actions the one that is named."""
    house.world.files = {"/a": BAD, "/b": content("worse")}
    action = (await house.carry_out(quarantine("/a"))).action
    await house.carry_out(quarantine("/b"))
    await live_on(house)
    await house.until(lambda: len(inherited(house)) == 2)
    release = give_back(action=action) if by_action else give_back("bad")
    assert (await house.carry_out(release)).outcome.effect == IN_FORCE
    assert house.world.files == {"/a": BAD}
    unknown = give_back(action="actions/00000000-0000-4000-8000-000000000001")
    assert (await house.carry_out(unknown)).failure.reason == "JOURNAL_LOST"
