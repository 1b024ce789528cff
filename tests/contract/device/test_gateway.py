"""Warrants reach the device that they name, and nothing that an agent has to say is lost, whatever breaks."""

import asyncio
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.executor.v1 import executor_service_pb2, plan_pb2, progress_pb2, target_report_pb2
from quell.remediation.v1 import device_pb2, remediation_pb2
from quell.warrant.v1 import preview_pb2

from deployment import Deployment
from device_center import Center, center, freeze, key_set
from device_house import RNG, Agent, House, action_name, refused, running
from eventually import eventually
from quell_runtime import pki
from quell_runtime.seams import new_uuid

CONNECTED = target_report_pb2.TARGET_STATE_CONNECTED
AWAY = target_report_pb2.TARGET_STATE_AWAY
BANNED = target_report_pb2.TARGET_STATE_BANNED
OFFBOARDED = target_report_pb2.TARGET_STATE_OFFBOARDED


async def reported(found: Center, agent: Agent, state: target_report_pb2.TargetState.ValueType) -> None:
    """Wait until the newest report says so."""

    async def look() -> target_report_pb2.TargetState.ValueType:
        return found.last(agent)

    await eventually(look, lambda seen: seen == state)


async def receipts(found: Center, *actions: str) -> None:
    """Wait for the receipts of actions."""

    async def look() -> set[str]:
        return set(found.receipts.values())

    await eventually(look, lambda seen: set(actions) <= seen)


async def test_a_warrant_goes_to_the_device_that_it_names_and_its_receipt_comes_back(house: House) -> None:
    """Two devices, one message: each gets its own, and hears that its receipt is stored."""
    ann, ben = await house.enrolled(), await house.enrolled()
    async with center(house) as found, ann.connected(), ben.connected():
        await reported(found, ann, CONNECTED)
        await reported(found, ben, CONNECTED)
        first, second = await found.order(ann, ben)
        await receipts(found, first, second)
        assert found.accepted == {first, second}
        assert (ann.done, ben.done) == ({first}, {second})

        async def unstored() -> int:
            return len(ann.unstored) + len(ben.unstored)

        await eventually(unstored, lambda seen: seen == 0)


async def test_the_hello_offers_every_kind_of_the_plane_and_shows_our_own_key(house: House) -> None:
    """The Action Center knows us by our identity key."""
    async with center(house) as found:

        async def look() -> int:
            return len(found.received)

        await eventually(look, lambda seen: seen > 0)
        hello = found.received[0].hello
    assert hello.version == 1
    assert len(hello.identity_key) == 32
    assert {"stop_and_quarantine", "isolate_device"} <= {kind.name for kind in hello.kinds}
    assert not any(kind.name == "block_url" for kind in hello.kinds)


async def test_a_warrant_for_a_device_that_is_away_is_not_accepted(house: House) -> None:
    """It stays with the Action Center, which hears that the device is away, and sends again when it is there."""
    agent = await house.enrolled()
    async with center(house) as found:
        await reported(found, agent, AWAY)
        await found.order(agent)
        async with agent.connected():
            await reported(found, agent, CONNECTED)
            (again,) = await found.order(agent)
            await receipts(found, again)
            assert agent.done == {again}
        await reported(found, agent, AWAY)
    assert found.targets[-1].host_name == "lab-1"
    assert [kind.name for kind in found.targets[-1].kinds] == ["stop_and_quarantine"]


async def test_a_new_host_name_is_reported(house: House) -> None:
    """The Action Center keeps all that a device ever claimed."""
    agent = await house.enrolled()
    async with center(house) as found, agent.connected() as stream:
        await reported(found, agent, CONNECTED)
        agent.host_name = "lab-2"
        await stream.say_facts()

        async def look() -> list[str]:
            return [each.host_name for each in found.targets]

        await eventually(look, lambda seen: seen[-1] == "lab-2")


async def test_no_receipt_is_lost_when_the_action_centers_stream_breaks(house: House) -> None:
    """Receipts that came up while it was away, or that it has not stored, come again on its next stream."""
    agent = await house.enrolled()
    async with agent.connected() as stream:
        async with center(house, start=1, stores=False) as found:
            await reported(found, agent, CONNECTED)
            (first,) = await found.order(agent)
            await receipts(found, first)
        second = action_name()
        await stream.up(agent.receipt(second))
        async with center(house, start=2) as found:
            await receipts(found, first, second)

            async def unstored() -> int:
                return len(agent.unstored)

            await eventually(unstored, lambda seen: seen == 0)
        assert not stream.ended.is_set()


async def test_no_receipt_is_lost_when_the_device_service_ends(house: House) -> None:
    """What is not stored stays with the agent, which sends it on its next stream."""
    agent = await house.enrolled()
    async with agent.connected(), center(house, stores=False) as found:
        await reported(found, agent, CONNECTED)
        (action,) = await found.order(agent)
        await receipts(found, action)
    async with center(house) as found, agent.connected():
        await receipts(found, action)


async def test_many_receipts_through_breaking_streams_are_each_stored(house: House) -> None:
    """200 receipts while the Action Center's stream is cut again and again."""
    agent = await house.enrolled()
    actions = {action_name() for _ in range(200)}
    stored: set[str] = set()
    async with agent.connected() as stream:
        for turn, action in enumerate(sorted(actions)):
            await stream.up(agent.receipt(action))
            if turn % 40 == 39:
                async with center(house, start=turn) as found:
                    await asyncio.sleep(0.01 * (turn % 3))
                stored.update(found.receipts.values())
        async with center(house, start=1000) as found:

            async def look() -> set[str]:
                return stored | set(found.receipts.values())

            await eventually(look, lambda seen: seen == actions)


async def test_each_new_stream_hears_the_newest_keys_and_freeze_after_hello(house: House) -> None:
    """Also when the Action Center is away by then; an older one never takes the place of a newer."""
    first, second = await house.enrolled(), await house.enrolled()
    async with center(house, start=7) as found, first.connected():
        await reported(found, first, CONNECTED)
        await found.down(key_set=key_set(3))
        await found.down(freeze=freeze(5))
        await found.down(freeze=freeze(4))

        async def look() -> int:
            return len(first.received)

        await eventually(look, lambda seen: seen >= 4)
    async with second.connected():

        async def heard() -> list[str | None]:
            return [each.WhichOneof("message") for each in second.received]

        await eventually(heard, lambda seen: seen == ["hello", "key_set", "freeze"])
    assert second.received[0].hello.start == 7
    assert second.received[1].key_set == key_set(3)
    assert second.received[2].freeze == freeze(5)


async def test_what_was_known_is_known_after_a_restart(deployment: Deployment, tmp_path: Path) -> None:
    """Devices, tokens that were used, bans, and the Action Center's newest words; nobody is connected at first."""
    async with running(deployment, tmp_path) as house:
        kept, banned = await house.enrolled(), await house.enrolled()
        async with center(house, start=5) as found, kept.connected():
            await reported(found, kept, CONNECTED)
            await found.down(key_set=key_set(2))
            await house.ban(banned.name)
            await reported(found, banned, BANNED)
    async with running(deployment, tmp_path) as house:
        kept.house = house
        kept.received.clear()
        assert [await house.device(name) for name in (kept.name, banned.name)] == [AWAY, BANNED]
        async with center(house, start=5) as found:
            await reported(found, kept, AWAY)
            await reported(found, banned, BANNED)
            async with kept.connected():
                await reported(found, kept, CONNECTED)
                assert found.targets[-1].enrolment == kept.token.sealed
        heard = [each.WhichOneof("message") for each in kept.received[:2]]
        assert (heard, kept.received[1].key_set) == (["hello", "key_set"], key_set(2))
        async with center(house, start=4) as found:

            async def ended() -> str:
                return found.reason

            await eventually(ended, lambda seen: seen == "CENTER_OUTDATED")


async def test_a_newer_stream_takes_the_place_of_an_older(house: House) -> None:
    """The older ends ABORTED; the device never looks away."""
    agent = await house.enrolled()
    async with center(house) as found, agent.connected() as older:
        await reported(found, agent, CONNECTED)
        found.targets.clear()
        async with agent.connected() as newer:
            await asyncio.wait_for(older.ended.wait(), 10)
            assert (older.code, older.reason) == (grpc.StatusCode.ABORTED, "STREAM_REPLACED")
            (action,) = await found.order(agent)
            await receipts(found, action)
            assert not newer.ended.is_set()
            assert {each.state for each in found.targets} == {CONNECTED}


async def test_streams_that_replace_each_other_again_and_again_are_refused_for_ten_minutes(house: House) -> None:
    """Two machines with one identity: nobody can tell which is meant."""
    agent = await house.enrolled()
    async with agent.connected(), agent.connected(), agent.connected(), agent.connected() as fourth:
        async with agent.opened() as fifth:
            await asyncio.wait_for(fifth.ended.wait(), 10)
            await asyncio.wait_for(fourth.ended.wait(), 10)
        assert (fifth.code, fifth.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TARGET_AMBIGUOUS")
        assert fourth.reason == "TARGET_AMBIGUOUS"
    house.clock.ahead += timedelta(minutes=9)
    async with agent.opened() as stream:
        await asyncio.wait_for(stream.ended.wait(), 10)
        assert stream.reason == "TARGET_AMBIGUOUS"
    house.clock.ahead += timedelta(minutes=2)
    async with center(house) as found, agent.connected():
        await reported(found, agent, CONNECTED)


async def test_a_ban_cuts_a_live_stream_at_once_and_for_good(house: House) -> None:
    """The Action Center is told; a new stream and a new certificate are refused."""
    agent = await house.enrolled()
    async with center(house) as found, agent.connected() as stream:
        await reported(found, agent, CONNECTED)
        await house.ban(agent.name)
        await asyncio.wait_for(stream.ended.wait(), 10)
        assert (stream.code, stream.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEVICE_BANNED")
        await reported(found, agent, BANNED)
        async with agent.opened() as again:
            await asyncio.wait_for(again.ended.wait(), 10)
            assert again.reason == "DEVICE_BANNED"
    assert await house.device(agent.name) == BANNED
    async with center(house, start=2) as found:
        await reported(found, agent, BANNED)


OFFBOARD = remediation_pb2.Remediation(offboard_machine=device_pb2.OffboardMachine(device=f"devices/{'a' * 26}"))


@pytest.mark.parametrize("carries_out", [True, False])
async def test_who_left_our_care_is_shut_out_once_its_receipt_is_stored(house: House, *, carries_out: bool) -> None:
    """Who refused to leave is not. The Action Center is told; a new stream and the same key again are refused."""
    agent, other = await house.enrolled(), await house.enrolled()
    agent.carries_out = carries_out
    async with center(house, stores=False) as found, agent.connected(), other.connected() as lying:
        await reported(found, agent, CONNECTED)
        await reported(found, other, CONNECTED)
        (action,) = await found.order(agent, remediation=OFFBOARD)
        await receipts(found, action)
        other.carries_out = True
        await lying.up(other.receipt(action))
        assert await house.device(agent.name) == CONNECTED, "the receipt is not stored yet"
        await found.down(stored=executor_service_pb2.Stored(ids=list(found.receipts)))

        async def told() -> bool:
            return not agent.unstored

        await eventually(told, bool)
        if not carries_out:
            assert await house.device(agent.name) == CONNECTED
            return
        await reported(found, agent, OFFBOARDED)
        assert await house.device(other.name) == CONNECTED
    async with agent.opened() as again:
        await asyncio.wait_for(again.ended.wait(), 10)
        assert (again.code, again.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DEVICE_OFFBOARDED")
    async with house.enrolling() as stub, agent.channel() as channel:
        agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        renewal = agent_service_pb2.RenewCertificateRequest(csr=pki.request(pki.new_tls_key()))
        for call in (
            lambda: stub.Enrol(agent.token.request(), timeout=10),
            lambda: agents.RenewCertificate(renewal, timeout=10),
        ):
            assert (await refused(call)).reason == "DEVICE_OFFBOARDED"
    await house.ban(agent.name)
    assert await house.device(agent.name) == OFFBOARDED


async def test_an_agent_speaks_for_its_own_device_only(house: House) -> None:
    """Accepted, progress, items, plans and target reports about others go nowhere."""
    honest, liar = await house.enrolled(), await house.enrolled()
    async with center(house) as found, honest.connected(), liar.connected() as stream:
        await reported(found, honest, CONNECTED)
        await reported(found, liar, CONNECTED)
        (action,) = await found.order(honest)
        await receipts(found, action)
        accepted, reports = len(found.accepted), len(found.targets)
        query = new_uuid(RNG)
        progress = progress_pb2.Progress(action=action, percent=99)
        progress.time.GetCurrentTime()
        chunk = executor_service_pb2.ItemChunk(id=new_uuid(RNG), action=action, body=b"x")
        lies = [
            executor_service_pb2.WorkResponse(accepted=executor_service_pb2.Accepted(actions=[action, action_name()])),
            executor_service_pb2.WorkResponse(progress=executor_service_pb2.ProgressReports(reports=[progress])),
            executor_service_pb2.WorkResponse(items=executor_service_pb2.ItemChunks(chunks=[chunk])),
            executor_service_pb2.WorkResponse(plan=plan_pb2.PlanAnswer(id=query)),
            executor_service_pb2.WorkResponse(targets=executor_service_pb2.TargetReports(reports=[found.targets[0]])),
        ]
        for lie in lies:
            await stream.up(lie)
        last = action_name()
        await stream.up(liar.receipt(last))
        await receipts(found, last)
        assert len(found.accepted) == accepted
        assert len(found.targets) == reports
        assert not [each for each in found.received if each.WhichOneof("message") in ("progress", "items", "plan")]


async def test_cancels_and_questions_go_to_their_device(house: House) -> None:
    """A question for a device that is away, or that leaves, is answered NOT_SEEN."""
    here, away = await house.enrolled(), await house.enrolled()
    async with center(house) as found, here.connected() as stream:
        await reported(found, here, CONNECTED)
        (action,) = await found.order(here)
        await receipts(found, action)
        await found.down(cancels=executor_service_pb2.Cancels(actions=[action]))
        asked = [plan_pb2.PlanQuery(id=new_uuid(RNG), remediation=scan(agent)) for agent in (here, here, away)]
        for query in asked:
            await found.down(plan=query)

        async def heard() -> list[str]:
            return [each.plan.id for each in here.received if each.HasField("plan")]

        await eventually(heard, lambda seen: seen == [asked[0].id, asked[1].id])
        assert [list(each.cancels.actions) for each in here.received if each.HasField("cancels")] == [[action]]
        summary = plan_pb2.PlanSummary(basis=preview_pb2.BASIS_SEEN, item_count=3)
        answer = plan_pb2.PlanAnswer(id=asked[0].id, summary=summary)
        await stream.up(executor_service_pb2.WorkResponse(plan=answer))

        async def answers() -> dict[str, int]:
            return {each.plan.id: each.plan.summary.basis for each in found.received if each.HasField("plan")}

        await eventually(answers, lambda seen: len(seen) == 2)
        stream.call.cancel()
        seen = await eventually(answers, lambda seen: len(seen) == 3)
    assert seen == {
        asked[0].id: preview_pb2.BASIS_SEEN,
        asked[1].id: preview_pb2.BASIS_NOT_SEEN,
        asked[2].id: preview_pb2.BASIS_NOT_SEEN,
    }


def scan(agent: Agent) -> remediation_pb2.Remediation:
    """Return a scan of an agent's device."""
    remediation = remediation_pb2.Remediation()
    remediation.run_antivirus_scan.device = agent.name
    remediation.run_antivirus_scan.quick.SetInParent()
    return remediation
