"""What others take away is made so again, told at a bounded rate, and never once somebody has begun to let go of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from kit_house import House, stored
from kit_network import KEY, Isolate, Network, isolate, join
from quell_executor.effect import Plan
from quell_executor.journal.records import OUTGOING, OWNERS
from quell_executor.settings import Pace

TAMPERED = effect_report_pb2.EFFECT_EVENT_TAMPERED
REASSERTED = effect_report_pb2.EFFECT_EVENT_REASSERTED
DRIFTED = effect_report_pb2.EFFECT_EVENT_DRIFTED
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
NOT_IN_FORCE = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE


@pytest.fixture
def network(house: House) -> Network:
    """Return a network that the house's executor works on, after its next start; looks follow each other quickly."""
    house.settings = replace(house.settings, pace=Pace(look=0.01, again=0.02))
    found = Network()
    house.more = dict(found.offers())
    return found


def events(house: House) -> list[effect_report_pb2.EffectEvent.ValueType]:
    """Return what was reported of effects that were not as the journal has them."""
    return [report.event for report in house.center.reports if report.event != effect_report_pb2.EFFECT_EVENT_PROBED]


async def isolated(house: House, *remotes: str, **other: object) -> warrant_pb2.Warrant:
    """Start with the network, and isolate it; the centre acknowledges."""
    await house.again()
    return await isolated_more(house, *remotes, **other)


async def isolated_more(house: House, *remotes: str, **other: object) -> warrant_pb2.Warrant:
    """Isolate."""
    warrant = house.center.warrant(isolate(*remotes), **other)
    house.send(warrant)
    receipt = await house.receipt(warrant)
    assert receipt.outcome.effect == IN_FORCE
    house.say(stored=stored([receipt.id]))
    return warrant


async def restarted(house: House) -> None:
    """Live again after a crash, and be called."""
    await house.move_in()
    await house.connect()


async def test_what_others_take_away_is_made_so_again_and_told(house: House, network: Network) -> None:
    """TAMPERED with what was found, REASSERTED with what is; the undo still brings back what was before all of it."""
    network.rules = "an administrator's"
    warrant = await isolated(house)
    network.meddle()
    await house.until(lambda: len(events(house)) == 2)
    tampered, again = house.center.reports
    assert (tampered.event, tampered.effect, tampered.action) == (TAMPERED, NOT_IN_FORCE, warrant.action)
    assert (again.event, again.effect, again.action) == (REASSERTED, IN_FORCE, warrant.action)
    assert network.rules == "ours:"
    await house.carry_out(isolate(), undo_of=warrant.action)
    assert network.rules == "an administrator's"


async def test_who_dies_before_it_is_made_so_again_makes_it_so_at_the_next_start(
    house: House, network: Network
) -> None:
    """Nothing was changed yet when it died; the undo still brings back what was before all of it."""
    network.rules = "an administrator's"
    warrant = await isolated(house)
    house.dies_at = "kit.fallen"
    network.meddle()
    await house.until(lambda: not house.dies_at)
    await house.crash()
    assert network.rules == "open"
    await restarted(house)
    await house.until(lambda: network.rules == "ours:")
    await house.carry_out(isolate(), undo_of=warrant.action)
    assert network.rules == "an administrator's"


async def test_what_is_left_alone_is_not_touched(house: House, network: Network) -> None:
    """Control: whoever stirs without taking anything away leads to a look and nothing else."""
    await isolated(house)
    looks = network.probes
    network.stirred.set()
    await house.until(lambda: network.probes > looks)
    await house.quiet()
    assert (len(network.applied), events(house)) == (1, [])


async def test_what_does_not_help_is_told_once_and_tried_again(house: House, network: Network) -> None:
    """DRIFTED while the network takes no change; when it does, REASSERTED."""
    await isolated(house)
    network.stubborn = True
    network.meddle()
    await house.until(lambda: events(house) == [TAMPERED, DRIFTED])
    looks = network.probes
    await house.until(lambda: network.probes > looks + 6)
    assert events(house) == [TAMPERED, DRIFTED]
    network.stubborn = False
    house.clock.advance(timedelta(seconds=house.settings.pace.quiet))
    await house.until(lambda: events(house)[-1] == REASSERTED)
    assert network.rules == "ours:"


async def test_a_storm_of_meddling_is_no_storm_of_reports(house: House, network: Network) -> None:
    """It is made so again each time; in one stretch of quiet there is one pair of reports, and one at its end."""
    await isolated(house)
    for _ in range(20):
        made = len(network.applied)
        network.meddle()
        await house.until(lambda made=made: len(network.applied) > made)
    await house.quiet()
    assert events(house) == [TAMPERED, REASSERTED]
    house.clock.advance(timedelta(seconds=house.settings.pace.quiet))
    await house.until(lambda: len(events(house)) > 2)
    assert events(house) == [TAMPERED, REASSERTED] * 2


async def test_reports_that_nobody_takes_do_not_pile_up(house: House, network: Network) -> None:
    """While the centre is away the newest pair of reports takes the place of the older."""
    await isolated(house)
    await house.hang_up()
    for _ in range(5):
        made = len(network.applied)
        network.meddle()
        await house.until(lambda made=made: len(network.applied) > made)
        house.clock.advance(timedelta(seconds=house.settings.pace.quiet))
    await house.quiet()
    waiting = await house.store.select(OUTGOING, "WHERE sort = 'report'")
    assert 2 <= len(waiting) <= 3


async def test_it_is_made_so_again_after_a_start(house: House, network: Network) -> None:
    """Taken away while nobody watched: TAMPERED. A reboot explains it: only that it is so again is told."""
    await isolated(house)
    await house.crash()
    network.rules = "open"
    await restarted(house)
    await house.until(lambda: network.rules == "ours:")
    await house.until(lambda: REASSERTED in events(house))
    assert TAMPERED in events(house)
    house.say(stored=stored([report.id for report in house.center.reports]))
    await house.quiet()
    await house.crash()
    network.rules = "open"
    house.center.reports.clear()
    house.clock.advance(timedelta(hours=1))
    house.clock.since_boot = 60.0
    await restarted(house)
    await house.until(lambda: REASSERTED in events(house))
    assert TAMPERED not in events(house)


async def test_an_older_copy_of_the_journal_undoes_no_release(house: House, network: Network) -> None:
    """It does not know of the release, but the mark went with that: DRIFTED, and the network stays open."""
    await isolated(house)
    await house.crash()
    copy = house.path.read_bytes()
    await restarted(house)
    assert (await house.carry_out(join())).outcome.effect == IN_FORCE
    await house.crash()
    house.lose_journal(copy)
    await restarted(house)
    await house.until(lambda: DRIFTED in events(house))
    network.stirred.set()
    await house.quiet(1000)
    assert network.rules == "open"


@pytest.mark.parametrize("by", ["undo", "release"])
async def test_nothing_is_made_so_again_once_letting_go_has_begun(house: House, network: Network, by: str) -> None:
    """A release that a crash cut off after its plan was journaled, and that can't be told after: it stays let go of."""
    warrant = await isolated(house)
    house.dies_at = "kit.applied"
    back = house.center.warrant(isolate(), undo_of=warrant.action) if by == "undo" else house.center.warrant(join())
    house.send(back)
    await house.until(lambda: network.rules == "open")
    await house.crash()
    network.blind = True
    await restarted(house)
    await house.until(lambda: house.center.of(back.action))
    assert house.center.of(back.action)[0].outcome.effect == outcome_pb2.EFFECT_STATE_UNKNOWN
    network.blind = False
    network.stirred.set()
    await house.again()
    await house.quiet(1000)
    assert await house.store.load(OWNERS, KEY)
    assert network.rules == "open"


async def test_what_was_only_tried_to_be_let_go_of_is_kept(house: House, network: Network) -> None:
    """Control: a release that came to nothing before it began leaves the isolation kept."""
    await isolated(house)
    late = house.center.warrant(join(), expires=timedelta(seconds=-1))
    house.send(late)
    await house.receipt(late)
    network.meddle()
    await house.until(lambda: network.rules == "ours:")


async def test_what_a_release_that_was_called_off_has_not_let_go_of_is_kept(house: House, network: Network) -> None:
    """It had begun, and nothing had come of it: the isolation stays, and is made so again."""
    await isolated(house)
    network.gate.clear()
    release = house.center.warrant(join())
    house.send(release)
    await house.until(lambda: "kit.planned" in house.points[-1:])
    house.say(cancels=executor_service_pb2.Cancels(actions=[release.action]))
    receipt = await house.receipt(release)
    assert receipt.disposition == receipt_pb2.DISPOSITION_CANCELED
    network.gate.set()
    network.meddle()
    await house.until(lambda: network.rules == "ours:")


async def test_a_release_waits_for_nothing_and_ends_the_watch(house: House, network: Network) -> None:
    """While it is being made so again the release waits for its end; then the network stays open."""
    await isolated(house)
    network.gate.clear()
    network.meddle()
    looks = network.probes
    await house.until(lambda: network.probes > looks)
    warrant = house.center.warrant(join())
    house.send(warrant)
    await house.quiet()
    network.gate.set()
    assert (await house.receipt(warrant)).outcome.effect == IN_FORCE
    network.stirred.set()
    await house.quiet(500)
    assert network.rules == "open"


async def test_it_is_kept_while_frozen_and_after_the_warrant_expired(house: House, network: Network) -> None:
    """Nothing new is begun by it."""
    await isolated(house, expires=timedelta(minutes=1))
    await house.freeze(1)
    house.clock.advance(timedelta(hours=1))
    network.meddle()
    await house.until(lambda: network.rules == "ours:")


async def test_it_is_not_kept_past_its_time(house: House, network: Network) -> None:
    """Its time was over while nobody lived: it is not made so again before its revert."""
    await isolated(house, expires=timedelta(minutes=1), reverts=timedelta(minutes=1))
    await house.crash()
    network.rules = "open"
    made = len(network.applied)
    house.clock.advance(timedelta(hours=1))
    await restarted(house)
    await house.until(lambda: effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME in events(house))
    assert (network.rules, len(network.applied)) == ("open", made)


async def test_another_isolation_is_what_is_kept_and_the_first_is_what_is_undone(
    house: House, network: Network
) -> None:
    """Other exclusions: no DRIFTED after a connect; what is made so again has them; undo goes back before the first."""
    network.rules = "an administrator's"
    await isolated(house)
    second = await isolated_more(house, "192.0.2.7")
    assert network.rules == "ours:192.0.2.7"
    await house.again()
    await house.until(lambda: house.center.reports)
    await house.quiet()
    assert [(report.action, report.effect) for report in house.center.reports] == [(second.action, IN_FORCE)]
    network.meddle()
    await house.until(lambda: network.rules == "ours:192.0.2.7")
    undone = await house.carry_out(isolate("192.0.2.7"), undo_of=second.action)
    assert undone.outcome.effect == IN_FORCE
    assert network.rules == "an administrator's"


class Unwatchable(Isolate):
    """Can't tell that anything has moved."""

    async def moved(self, _plan: Plan) -> None:
        """Fail."""
        raise OSError("it can't be watched")


async def test_who_can_not_watch_is_looked_after_all_the_same(house: House, network: Network) -> None:
    """A watch that fails ends nothing: the next look comes."""
    house.more["isolate_device"] = Unwatchable(network)
    await isolated(house)
    network.rules = "open"
    await house.until(lambda: network.rules == "ours:")
