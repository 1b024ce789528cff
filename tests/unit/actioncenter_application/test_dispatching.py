"""What is decided is sealed, kept, sent, sent again as it was, held back, called off, or shown as waiting."""

from collections.abc import Callable
from datetime import timedelta

from quell.actioncenter.v1 import action_service_pb2, control_service_pb2
from quell.executor.v1 import executor_service_pb2, progress_pb2, target_report_pb2
from quell.remediation.v1 import device_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from center_bench import ANN, BOB, CENTER, Bench, block, file, url
from quell_actioncenter.signing.proofs import opened
from quell_actioncenter.store.tables import EFFECTS
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp, when

AGENT = SealKey(bytes([9] * 32))
CONNECTED, AWAY = target_report_pb2.TARGET_STATE_CONNECTED, target_report_pb2.TARGET_STATE_AWAY
BANNED, OFFBOARDED = target_report_pb2.TARGET_STATE_BANNED, target_report_pb2.TARGET_STATE_OFFBOARDED


def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
    """Answer nothing."""
    return None


def scan(device: str) -> remediation_pb2.Remediation:
    """Return a quick scan."""
    return remediation_pb2.Remediation(
        run_antivirus_scan=device_pb2.RunAntivirusScan(device=device, quick=device_pb2.QuickScan())
    )


async def blocked(bench: Bench, number: int = 1) -> str:
    """Have a URL's blocking approved, and return the action."""
    asked = await bench.create(block(f"https://evil{number}.example/"))
    return (await bench.approve(asked)).name


def test_what_is_sent_was_sealed_and_kept_and_is_sent_again_as_it_was(play: Callable[..., None]) -> None:
    """On each new stream, the same bytes, until the receipt is there."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        name = await blocked(bench)
        await bench.settle()
        assert await bench.states() == ["DISPATCHED"]
        for _ in range(3):
            bench.email.vanish()
            bench.email.reachable.set()
            await bench.settle(2)
        assert len(bench.email.bodies) == 4
        assert len(set(bench.email.bodies)) == 1
        sealed = next(one for one in bench.email.heard if one.HasField("warrants")).warrants.warrants[0]
        warrant = opened(sealed, warrant_pb2.Warrant, CENTER.public)
        assert (warrant.action, warrant.executor_key) == (name, bench.email.key.key_id)
        bench.email.answer = bench.email.carried_out
        bench.email.vanish()
        bench.email.reachable.set()
        await bench.settle(2)
        assert await bench.states() == ["SUCCEEDED"]
        assert (await bench.history(name)).count("claimed") == 1

    play(story)


def test_the_window_bounds_what_is_on_the_way(play: Callable[..., None]) -> None:
    """No more warrants without a receipt than the executor takes."""

    async def story(bench: Bench) -> None:
        bench.email.vanish()
        bench.email.window, bench.email.answer = 3, silent
        bench.email.reachable.set()
        await bench.settle(2)
        for number in range(8):
            await blocked(bench, number)
        await bench.settle()
        assert len(bench.email.warrants) == 3
        first = bench.email.carried_out(bench.email.warrants[0])
        first.warrant_digest = (await bench.action(first.action)).warrant_digest
        bench.email.send_receipts(first)
        await bench.settle()
        assert len(bench.email.warrants) == 4

    play(story)


def test_scans_wait_at_the_centre_and_others_overtake_them(play: Callable[..., None]) -> None:
    """Two scans at a device, however many are asked for; a quarantine goes past them."""

    async def story(bench: Bench) -> None:
        bench.device.answer = silent
        device = bench.device.send_target(AGENT, CONNECTED)
        await bench.settle()
        for _ in range(5):
            await bench.create(scan(device))
        await bench.settle()
        assert len(bench.device.warrants) == 2
        await bench.submit(file(device=device))
        await bench.settle()
        assert bench.device.warrants[-1].remediation.HasField("stop_and_quarantine")
        assert bench.device.warrants[-1].target_key == AGENT.key_id
        done = bench.device.carried_out(bench.device.warrants[0])
        done.warrant_digest = (await bench.action(done.action)).warrant_digest
        bench.device.send_receipts(done, key=AGENT)
        await bench.settle()
        assert sum(one.remediation.HasField("run_antivirus_scan") for one in bench.device.warrants) == 3

    play(story)


def test_with_five_hundred_scans_waiting_a_release_starts_at_once(play: Callable[..., None]) -> None:
    """Nothing that lets go waits for what only reads: it is the very next warrant, and no scan is sent before it."""

    async def story(bench: Bench) -> None:
        bench.device.answer = silent
        device = bench.device.send_target(AGENT, CONNECTED)
        await bench.settle()
        for _ in range(500):
            await bench.create(scan(device))
        await bench.settle()
        assert len(bench.device.warrants) == 2
        lift = device_pb2.ReleaseDeviceFromIsolation(device=device)
        asked = await bench.create(remediation_pb2.Remediation(release_device_from_isolation=lift))
        await bench.settle()
        assert [warrant.action for warrant in bench.device.warrants[2:]] == [asked.name]
        for scanned in bench.device.warrants[:2]:
            done = bench.device.carried_out(scanned)
            done.warrant_digest = (await bench.action(done.action)).warrant_digest
            bench.device.send_receipts(done, key=AGENT)
        await bench.settle()
        assert sum(one.remediation.HasField("run_antivirus_scan") for one in bench.device.warrants) == 4

    play(story)


async def one_sent_before_it_left(bench: Bench) -> None:
    """Have one action sent to a device that is silent and then away, and another asked for that waits for it."""
    bench.device.answer = silent
    device = bench.device.send_target(AGENT, CONNECTED)
    await bench.settle()
    await bench.submit(file(1, device=device))
    await bench.settle()
    bench.device.send_target(AGENT, AWAY)
    await bench.settle()
    await bench.submit(file(2, device=device), number="2")


def test_what_waits_for_a_device_is_shown_and_sent_when_it_returns(play: Callable[..., None]) -> None:
    """Nothing is sent meanwhile; on its return everything without a receipt comes, the sent again."""

    async def story(bench: Bench) -> None:
        await one_sent_before_it_left(bench)
        await bench.settle()
        assert await bench.states() == ["DISPATCHED", "WAITING_FOR_TARGET"]
        assert len(bench.device.warrants) == 1
        bench.device.send_target(AGENT, CONNECTED)
        await bench.settle()
        assert [one.action for one in bench.device.warrants[1:]] == [one.name for one in await bench.actions()]
        assert bench.device.bodies[0] == bench.device.bodies[1]

    play(story)


def test_a_target_that_stays_away_ends_what_waits_and_never_what_was_sent(play: Callable[..., None]) -> None:
    """Seven days later the unsent is TIMED_OUT; the sent is unconfirmed until its receipt."""

    async def story(bench: Bench) -> None:
        await one_sent_before_it_left(bench)
        await bench.settle(8 * 86400)
        assert await bench.states() == ["DISPATCHED", "TIMED_OUT"]

    play(story)


def test_a_whole_executor_that_is_away_shows_what_waits(play: Callable[..., None]) -> None:
    """After a moment of grace what is decided is waiting for its target, and goes on when it is back."""

    async def story(bench: Bench) -> None:
        bench.email.vanish()
        await bench.settle(5)
        await blocked(bench)
        await bench.settle(5)
        assert await bench.states() == ["WAITING_FOR_TARGET"]
        bench.email.reachable.set()
        await bench.settle(5)
        assert await bench.states() == ["SUCCEEDED"]

    play(story)


def test_a_cancel_ends_the_unsent_at_once_and_asks_for_the_sent(play: Callable[..., None]) -> None:
    """What was sent is canceled only by its receipt."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        sent = await blocked(bench, 1)
        await bench.settle()
        pending = (await bench.create(block("https://two.example/"))).name
        for name in (sent, pending):
            request = action_service_pb2.CancelActionRequest(name=name, comment="stop")
            await bench.center.actions.cancel(request, ANN)
            await bench.center.actions.cancel(request, ANN)
        await bench.settle()
        assert await bench.states() == ["DISPATCHED", "CANCELED"]
        assert bench.email.cancels == [sent]
        receipt = receipt_pb2.Receipt(
            id=bench.uuid(),
            action=sent,
            warrant_digest=(await bench.action(sent)).warrant_digest,
            disposition=receipt_pb2.DISPOSITION_CANCELED,
            time=stamp(bench.clock.now()),
        )
        bench.email.send_receipts(receipt)
        await bench.settle()
        assert await bench.states() == ["CANCELED", "CANCELED"]

    play(story)


def test_while_frozen_only_what_lets_go_or_reads_is_sent(play: Callable[..., None]) -> None:
    """What waits keeps its state and goes on when two people have lifted it."""

    async def story(bench: Bench) -> None:
        controls = bench.center.controls
        done = await blocked(bench, 1)
        await bench.settle()
        freeze = control_service_pb2.FreezeRequest(freeze_id=bench.uuid(), comment="halt")
        status = await controls.freeze(freeze, ANN)
        assert status.frozen
        await blocked(bench, 2)
        await bench.undo(done)
        await bench.settle()
        assert sorted(await bench.states()) == ["QUEUED", "SUCCEEDED", "SUCCEEDED"]
        assert [one.HasField("freeze") for one in bench.email.heard].count(True) == 1
        for who in (ANN, BOB):
            lift = control_service_pb2.UnfreezeRequest(vote_id=bench.uuid(), epoch=status.epoch, comment="on")
            await controls.unfreeze(lift, who)
        await bench.settle()
        assert set(await bench.states()) == {"SUCCEEDED"}

    play(story)


def test_a_device_that_is_banned_loses_what_was_asked_of_it(play: Callable[..., None]) -> None:
    """Sent or not it FAILED TARGET_LOST; an offboarded one's unsent is CANCELED TARGET_OFFBOARDED."""

    async def story(bench: Bench) -> None:
        bench.device.answer = silent
        for number, (key, state) in enumerate(((AGENT, BANNED), (SealKey(bytes([8] * 32)), OFFBOARDED))):
            device = bench.device.send_target(key, CONNECTED)
            await bench.settle()
            await bench.submit(file(1, device=device), number=f"{number}a")
            await bench.settle()
            bench.device.send_target(key, AWAY)
            await bench.settle()
            await bench.submit(file(2, device=device), number=f"{number}b")
            await bench.settle()
            bench.device.send_target(key, state)
            await bench.settle()
        found = {(one.investigation[-2:], one.action.failure.reason) for one in await bench.actions()}
        assert found == {
            ("0a", "TARGET_LOST"),
            ("0b", "TARGET_LOST"),
            ("1a", "TARGET_LOST"),
            ("1b", "TARGET_OFFBOARDED"),
        }
        assert sorted(await bench.states()) == ["CANCELED", "FAILED", "FAILED", "FAILED"]

    play(story)


def test_progress_is_shown_and_not_kept(play: Callable[..., None]) -> None:
    """The first word makes the action RUNNING; how far it is stands in memory."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        name = await blocked(bench)
        await bench.settle()
        progress = progress_pb2.Progress(action=name, percent=40, message="m", time=stamp(bench.clock.now()))
        for _ in range(2):
            bench.email.say(
                executor_service_pb2.WorkResponse(progress=executor_service_pb2.ProgressReports(reports=[progress]))
            )
        await bench.settle()
        assert await bench.states() == ["RUNNING"]
        assert bench.center.progress()[name].percent == 40
        assert (await bench.history(name)).count("plan_journaled") == 1

    play(story)


def test_a_warrant_never_outlives_its_revert_nor_what_was_previewed(play: Callable[..., None]) -> None:
    """Its expiry is the earliest of all."""

    async def story(bench: Bench) -> None:
        revert = bench.clock.now() + timedelta(hours=2)
        request = action_service_pb2.CreateActionRequest(
            action_id=bench.uuid(), remediation=block(), comment="c", revert_time=stamp(revert)
        )
        asked = await bench.center.actions.create(request, ANN)
        await bench.approve(asked)
        await bench.settle()
        (warrant,) = bench.email.warrants
        assert when(warrant.expire_time) == when(warrant.revert_time) == revert

    play(story)


def test_a_write_off_ends_what_was_sent_and_its_receipt_still_counts(play: Callable[..., None]) -> None:
    """FAILED TARGET_LOST with an unknown effect; the receipt changes the outcome, never the state."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        name = await blocked(bench)
        await bench.settle()
        request = action_service_pb2.WriteOffActionRequest(name=name, comment="gone")
        lost = await bench.center.actions.write_off(request, BOB)
        assert lost.outcome.effect == outcome_pb2.EFFECT_STATE_UNKNOWN
        late = bench.email.carried_out(bench.email.warrants[0])
        late.warrant_digest = (await bench.action(name)).warrant_digest
        bench.email.send_receipts(late)
        await bench.settle()
        record = await bench.action(name)
        assert await bench.states() == ["FAILED"]
        assert record.action.failure.reason == "TARGET_LOST"
        assert record.action.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE

    play(story)


def test_what_was_given_up_and_never_begun_leaves_the_register(play: Callable[..., None]) -> None:
    """Its effect is unknown only until the executor says that there is none."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        name = await blocked(bench)
        await bench.settle()
        await bench.center.actions.write_off(action_service_pb2.WriteOffActionRequest(name=name, comment="gone"), BOB)
        (unknown,) = await bench.store.select(EFFECTS)
        assert unknown.state == outcome_pb2.EFFECT_STATE_UNKNOWN
        receipt = receipt_pb2.Receipt(
            id=bench.uuid(),
            action=name,
            warrant_digest=(await bench.action(name)).warrant_digest,
            disposition=receipt_pb2.DISPOSITION_EXPIRED,
            time=stamp(bench.clock.now()),
        )
        bench.email.send_receipts(receipt)
        await bench.settle()
        assert not await bench.store.select(EFFECTS)
        assert await bench.states() == ["FAILED"]

    play(story)


def test_decisions_expire_after_warnings(play: Callable[..., None]) -> None:
    """Two warnings, then EXPIRED, after seven days."""

    async def story(bench: Bench) -> None:
        await bench.submit(url())
        await bench.settle(6.9 * 86400)
        (record,) = await bench.actions()
        assert await bench.history(record.name) == ["asked", "decision_due", "decision_due"]
        await bench.settle(86400)
        assert await bench.states() == ["EXPIRED"]

    play(story)
