"""Every RPC of the device service, asked wrongly: the exact code and reason, and nothing is stored."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from quell.device.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    fleet_service_pb2,
)
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc
from quell.executor.v1.target_report_pb2 import TargetState

from device_center import center
from device_house import House, refused
from eventually import eventually
from quell_runtime import client

UNKNOWN = f"devices/{'a' * 26}"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED


@dataclass(frozen=True)
class Case:
    """One wrong call of the fleet."""

    rpc: str
    request: Message
    code: grpc.StatusCode
    reason: str
    who: str = "dan"


FLEET = [
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(page_size=-1), INVALID, "FIELD_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(filter="state ="), INVALID, "FILTER_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(filter="state = GONE"), INVALID, "FILTER_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(filter="size > 1"), INVALID, "FILTER_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(filter="x" * 4001), INVALID, "FIELD_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(order_by="os"), INVALID, "ORDER_INVALID"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(page_token="zz"), INVALID, "PAGE_TOKEN_INVALID"),  # noqa: S106
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(), DENIED, "NOT_PERMITTED", "xdr"),
    Case("ListDevices", fleet_service_pb2.ListDevicesRequest(), DENIED, "NOT_PERMITTED", "actioncenter"),
    Case("GetDevice", fleet_service_pb2.GetDeviceRequest(), INVALID, "FIELD_INVALID"),
    Case("GetDevice", fleet_service_pb2.GetDeviceRequest(name="devices/../x"), INVALID, "FIELD_INVALID"),
    Case("GetDevice", fleet_service_pb2.GetDeviceRequest(name=UNKNOWN), grpc.StatusCode.NOT_FOUND, "DEVICE_UNKNOWN"),
    Case("GetDevice", fleet_service_pb2.GetDeviceRequest(name=UNKNOWN), DENIED, "NOT_PERMITTED", "email"),
    Case("WatchDevices", fleet_service_pb2.WatchDevicesRequest(filter="tag > lab"), INVALID, "FILTER_INVALID"),
    Case("WatchDevices", fleet_service_pb2.WatchDevicesRequest(), DENIED, "NOT_PERMITTED", "xdr"),
    Case("UpdateDevice", fleet_service_pb2.UpdateDeviceRequest(name=UNKNOWN), INVALID, "FIELD_INVALID"),
    Case("UpdateDevice", fleet_service_pb2.UpdateDeviceRequest(name="x", comment="x"), INVALID, "FIELD_INVALID"),
    Case(
        "UpdateDevice",
        fleet_service_pb2.UpdateDeviceRequest(name=UNKNOWN, comment="x", tags=["a", "a"]),
        INVALID,
        "FIELD_INVALID",
    ),
    Case(
        "UpdateDevice",
        fleet_service_pb2.UpdateDeviceRequest(name=UNKNOWN, comment="x"),
        grpc.StatusCode.NOT_FOUND,
        "DEVICE_UNKNOWN",
    ),
    Case(
        "UpdateDevice", fleet_service_pb2.UpdateDeviceRequest(name=UNKNOWN, comment="x"), DENIED, "NOT_PERMITTED", "ann"
    ),
    Case("CreateEnrolmentToken", fleet_service_pb2.CreateEnrolmentTokenRequest(tags=["No"]), INVALID, "FIELD_INVALID"),
    Case(
        "CreateEnrolmentToken",
        fleet_service_pb2.CreateEnrolmentTokenRequest(valid=Duration(seconds=86401)),
        INVALID,
        "FIELD_INVALID",
    ),
    Case("CreateEnrolmentToken", fleet_service_pb2.CreateEnrolmentTokenRequest(), DENIED, "NOT_PERMITTED", "ann"),
    Case("BanDevice", fleet_service_pb2.BanDeviceRequest(name=UNKNOWN), INVALID, "FIELD_INVALID"),
    Case(
        "BanDevice",
        fleet_service_pb2.BanDeviceRequest(name=UNKNOWN, comment="lost"),
        grpc.StatusCode.NOT_FOUND,
        "DEVICE_UNKNOWN",
    ),
    Case("BanDevice", fleet_service_pb2.BanDeviceRequest(name=UNKNOWN, comment="x"), DENIED, "NOT_PERMITTED", "bob"),
]


async def _asked(fleet: object, rpc: str, request: Message) -> None:
    call = getattr(fleet, rpc)(request, timeout=10)
    await (call.read() if rpc.startswith("Watch") else call)


@pytest.mark.parametrize("case", FLEET, ids=lambda case: f"{case.rpc}-{case.reason}-{case.who}")
async def test_the_fleet_refuses(house: House, case: Case) -> None:
    """Code and reason are those of the contract."""
    async with house.fleet(case.who) as fleet:
        problem = await refused(lambda: _asked(fleet, case.rpc, case.request))
    assert (problem.code, problem.reason) == (case.code, case.reason)


@pytest.mark.parametrize("rpc", ["ListDevices", "GetDevice", "UpdateDevice", "CreateEnrolmentToken", "BanDevice"])
async def test_a_call_without_a_deadline_is_refused(house: House, rpc: str) -> None:
    """Nobody waits for ever."""
    request = getattr(fleet_service_pb2, f"{rpc}Request")()
    async with house.fleet() as fleet:
        problem = await refused(lambda: getattr(fleet, rpc)(request))
    assert (problem.code, problem.reason) == (INVALID, "DEADLINE_REQUIRED")


async def test_devices_are_listed_filtered_ordered_and_paged(house: House) -> None:
    """Each page goes on where the one before ended; a ban and a connection show."""
    agents = [await house.enrolled() for _ in range(5)]
    banned = agents[0].name
    await house.ban(banned)
    await house.ban(banned)
    names = sorted(agent.name for agent in agents)
    async with house.fleet("carol") as fleet, agents[1].connected():

        async def listed(filter_: str = "", token: str = "", order: str = "") -> fleet_service_pb2.ListDevicesResponse:
            request = fleet_service_pb2.ListDevicesRequest(
                page_size=3, filter=filter_, page_token=token, order_by=order
            )
            found: fleet_service_pb2.ListDevicesResponse = await fleet.ListDevices(request, timeout=10)
            return found

        first = await listed()
        second = await listed(token=first.next_page_token)
        assert [device.name for page in (first, second) for device in page.devices] == names
        assert (first.total_size, second.next_page_token) == (5, "")
        assert [device.name for device in (await listed("state = BANNED")).devices] == [banned]
        assert [device.name for device in (await listed(order="name desc")).devices] == names[:1:-1]
        assert [device.name for device in (await listed(f"name = {names[2]}")).devices] == [names[2]]

        async def there() -> list[str]:
            return [device.host_name for device in (await listed("state = CONNECTED AND host_name = lab-1")).devices]

        await eventually(there, lambda seen: seen == ["lab-1"])
        assert len((await listed('last_seen_time > "2020-01-01T00:00:00Z"')).devices) == 3


async def test_tags_are_changed_filtered_by_and_reported(house: House) -> None:
    """A device has the tags of its token until somebody gives it others; the Action Center is told."""
    tagged, other = await house.enrolled(tags=["lab", "web"]), await house.enrolled(tags=["lab-2"])
    async with center(house) as found, house.fleet("dan") as fleet:

        async def named(filter_: str) -> list[str]:
            request = fleet_service_pb2.ListDevicesRequest(filter=filter_)
            return [device.name for device in (await fleet.ListDevices(request, timeout=10)).devices]

        async def reported() -> list[list[str]]:
            return [list(report.tags) for report in found.targets if report.target == tagged.name]

        assert (await named("tag = lab"), await named("tag = lab-2")) == ([tagged.name], [other.name])
        await eventually(reported, lambda seen: ["lab", "web"] in seen)
        request = fleet_service_pb2.UpdateDeviceRequest(name=tagged.name, tags=["servers"], comment="moved")
        assert list((await fleet.UpdateDevice(request, timeout=10)).device.tags) == ["servers"]
        await eventually(reported, lambda seen: seen[-1] == ["servers"])
        assert (await named("tag = lab"), await named("tag = servers")) == ([], [tagged.name])
        await house.ban(other.name)
        request = fleet_service_pb2.UpdateDeviceRequest(name=other.name, tags=["servers"], comment="moved")
        problem = await refused(lambda: fleet.UpdateDevice(request, timeout=10))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_GONE")


async def test_a_watch_tells_each_that_fits_then_each_change_and_what_leaves(house: House) -> None:
    """What does not fit is not told, and what no longer does is told once."""
    agents = [await house.enrolled(tags=["lab"]), await house.enrolled(tags=["lab"])]
    await house.enrolled(tags=["web"])
    async with house.fleet("dan") as fleet:
        call = fleet.WatchDevices(fleet_service_pb2.WatchDevicesRequest(filter="tag = lab AND state != BANNED"))

        async def told() -> tuple[str, str, bool]:
            answer = cast("fleet_service_pb2.WatchDevicesResponse", await asyncio.wait_for(call.read(), 10))
            return answer.device.name, TargetState.Name(answer.device.state), answer.matches

        async def next_state() -> tuple[str, str, bool]:
            """Pass over changes that leave the state as it was: what the machine says of itself."""
            while (answer := await told()) in seen:
                pass
            seen.append(answer)
            return answer

        seen = [await told(), await told()]
        assert seen == [(name, "TARGET_STATE_AWAY", True) for name in sorted(agent.name for agent in agents)]
        async with agents[0].connected():
            assert await next_state() == (agents[0].name, "TARGET_STATE_CONNECTED", True)
            await house.ban(agents[1].name)
            assert await next_state() == (agents[1].name, "TARGET_STATE_BANNED", False)
        seen.remove((agents[0].name, "TARGET_STATE_AWAY", True))
        assert await next_state() == (agents[0].name, "TARGET_STATE_AWAY", True)
        call.cancel()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": 1}, "CENTER_OUTDATED"),
        ({"start": 9, "deployment": "other"}, "DEPLOYMENT_MISMATCH"),
    ],
)
async def test_an_action_center_that_is_not_ours_or_outdated_is_refused(
    house: House, changes: dict[str, Any], reason: str
) -> None:
    """A lower start than has been seen, or another deployment."""
    async with center(house, start=5) as first, center(house, **changes) as found:

        async def ended() -> grpc.StatusCode | None:
            return found.code

        await eventually(ended, lambda seen: seen is not None)
        assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert first.code is None


async def test_a_newer_stream_of_the_action_center_takes_the_place_of_an_older(house: House) -> None:
    """The older ends ABORTED."""
    async with center(house, start=1) as older, center(house, start=1) as newer:

        async def ended() -> grpc.StatusCode | None:
            return older.code

        await eventually(ended, lambda seen: seen is not None)
        assert (older.code, older.reason) == (grpc.StatusCode.ABORTED, "STREAM_REPLACED")
        assert newer.code is None


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (
            executor_service_pb2.WorkRequest(
                hello=executor_service_pb2.CenterHello(versions=[7], deployment="example", start=1)
            ),
            "PROTOCOL_UNSUPPORTED",
        ),
        (
            executor_service_pb2.WorkRequest(cancels=executor_service_pb2.Cancels(actions=[f"actions/{'0' * 36}"])),
            "PROTOCOL_UNSUPPORTED",
        ),
        (executor_service_pb2.WorkRequest(), "FIELD_INVALID"),
    ],
)
async def test_work_begins_with_a_hello_in_a_common_version(
    house: House, first: executor_service_pb2.WorkRequest, reason: str
) -> None:
    """Anything else ends the stream."""
    async with house.deployment.channel(house.service.api.port, "actioncenter", "device") as channel:
        call = executor_service_pb2_grpc.ExecutorServiceStub(channel).Work()
        await call.write(first)
        problem = await refused(call.read)
    assert problem.reason == reason


async def test_agents_and_people_reach_only_their_own(house: House) -> None:
    """An agent's certificate opens no API; a person's none of the agents'; nobody's only enrols."""
    agent = await house.enrolled()
    async with house.deployment.channel(house.service.api.port, "ann", "device") as channel:
        call = executor_service_pb2_grpc.ExecutorServiceStub(channel).Work()
        assert (await refused(call.read)).reason == "NOT_PERMITTED"
    async with house.enrolling() as stub:
        renewal = agent_service_pb2.RenewCertificateRequest(csr=b"x")
        assert (await refused(lambda: stub.RenewCertificate(renewal, timeout=10))).reason == "NOT_PERMITTED"
        nameless = stub.Connect()
        assert (await refused(nameless.read)).reason == "NOT_PERMITTED"
    for port, credentials in (
        (house.service.api.port, agent.credentials),
        (house.service.agents.port, house.deployment.credentials("ann")),
    ):
        async with client.channel(f"127.0.0.1:{port}", credentials, "device") as channel:
            stranger = agent_service_pb2_grpc.AgentServiceStub(channel).Connect()
            assert (await refused(stranger.read)).code is grpc.StatusCode.UNAVAILABLE
    async with agent.channel() as channel:
        agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        problem = await refused(lambda: agents.Enrol(agent.token.request(), timeout=10))
        assert (problem.code, problem.reason) == (DENIED, "NOT_PERMITTED")


async def test_an_agent_says_hello_before_anything_else(house: House) -> None:
    """Else its stream ends."""
    agent = await house.enrolled()
    async with agent.channel() as channel:
        call = agent_service_pb2_grpc.AgentServiceStub(channel).Connect()
        receipt = agent.receipt(f"actions/{'0' * 36}")
        await call.write(agent_service_pb2.ConnectRequest(up=receipt))
        problem = await refused(call.read)
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PROTOCOL_UNSUPPORTED")
