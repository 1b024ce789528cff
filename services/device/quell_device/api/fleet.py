"""FleetService: which devices there are, how one comes in, how one is shut out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta

from quell.device.v1 import device_pb2, fleet_service_pb2, fleet_service_pb2_grpc
from quell.executor.v1 import target_report_pb2

from quell_device.application.enrolment import Enrolment
from quell_device.application.registry import Registry
from quell_device.application.watching import Watch
from quell_device.domain.records import DeviceRecord, DeviceState
from quell_device.store.tables import DEVICES
from quell_runtime.listing import filters
from quell_runtime.listing.fields import COMPARISON, Field, choice, members, text, time
from quell_runtime.listing.paging import Listing, order_of, size_of
from quell_runtime.people import person
from quell_runtime.sealing import key_id_of
from quell_runtime.seams import Rng, stamp

PAGE = 50
VALID = timedelta(minutes=10)
NAME: Field[DeviceRecord] = Field(
    "id", lambda word: word.removeprefix("devices/"), lambda record: record.id, COMPARISON, ordered_by=True
)
FIELDS: Mapping[str, Field[DeviceRecord]] = {
    "name": NAME,
    "state": choice("state", {state.name: state.value for state in DeviceState}),
    "host_name": text("host_name", ordered_by=True),
    "os": text("os"),
    "tag": members("tags"),
    "enrol_time": time("enrol_time", ordered_by=True),
    "last_seen_time": time("last_seen_time", ordered_by=True),
}
"""What devices can be filtered and ordered by."""


class FleetServicer(fleet_service_pb2_grpc.FleetServiceServicer):
    """For people."""

    def __init__(self, registry: Registry, enrolment: Enrolment, rng: Rng) -> None:
        """Take the use cases."""
        self._registry = registry
        self._enrolment = enrolment
        self._rng = rng

    async def ListDevices(  # noqa: N802, D102 - the contract's
        self, request: fleet_service_pb2.ListDevicesRequest, _context: object
    ) -> fleet_service_pb2.ListDevicesResponse:
        wanted = filters.parse(request.filter, FIELDS)
        listing = Listing(DEVICES, wanted, order_of(request.order_by, FIELDS, "name", NAME))
        found, token = await listing.page(self._registry.store, size_of(request.page_size, PAGE), request.page_token)
        total = await listing.total(self._registry.store)
        return fleet_service_pb2.ListDevicesResponse(
            devices=map(_shown, found), next_page_token=token, total_size=total
        )

    async def GetDevice(  # noqa: N802, D102
        self, request: fleet_service_pb2.GetDeviceRequest, _context: object
    ) -> fleet_service_pb2.GetDeviceResponse:
        found = await self._registry.get(request.name.removeprefix("devices/"))
        return fleet_service_pb2.GetDeviceResponse(device=_shown(found))

    async def WatchDevices(  # noqa: N802, D102
        self, request: fleet_service_pb2.WatchDevicesRequest, _context: object
    ) -> AsyncIterator[fleet_service_pb2.WatchDevicesResponse]:
        watch = Watch(self._registry.store, filters.parse(request.filter, FIELDS))
        async with aclosing(watch.told()) as told:
            async for record, matches in told:
                yield fleet_service_pb2.WatchDevicesResponse(device=_shown(record), matches=matches)

    async def UpdateDevice(  # noqa: N802, D102
        self, request: fleet_service_pb2.UpdateDeviceRequest, _context: object
    ) -> fleet_service_pb2.UpdateDeviceResponse:
        device = request.name.removeprefix("devices/")
        found = await self._registry.tag(device, request.tags, _why(request.comment))
        return fleet_service_pb2.UpdateDeviceResponse(device=_shown(found))

    async def CreateEnrolmentToken(  # noqa: N802, D102
        self, request: fleet_service_pb2.CreateEnrolmentTokenRequest, _context: object
    ) -> fleet_service_pb2.CreateEnrolmentTokenResponse:
        valid = request.valid.ToTimedelta() if request.HasField("valid") else VALID
        token, kept = await self._enrolment.new_token(self._rng, request.tags, valid)
        return fleet_service_pb2.CreateEnrolmentTokenResponse(token=token, expire_time=stamp(kept.expire_time))

    async def BanDevice(  # noqa: N802, D102
        self, request: fleet_service_pb2.BanDeviceRequest, _context: object
    ) -> fleet_service_pb2.BanDeviceResponse:
        found = await self._registry.ban(request.name.removeprefix("devices/"), _why(request.comment))
        return fleet_service_pb2.BanDeviceResponse(device=_shown(found))


def _why(comment: str) -> str:
    who = person()
    return f"{who.name if who else 'nobody'}: {comment}"


def _shown(record: DeviceRecord) -> device_pb2.Device:
    return device_pb2.Device(
        name=record.name,
        state=target_report_pb2.TargetState.Value(f"TARGET_STATE_{record.state.name}"),
        identity_key_digest=key_id_of(record.identity_key).hex(),
        host_name=record.host_name,
        os=record.os,
        kernel=record.facts.kernel if record.facts else "",
        agent_version=record.facts.agent_version if record.facts else "",
        tags=record.tags,
        kinds=record.hello.kinds if record.hello else (),
        enrol_time=stamp(record.enrol_time),
        last_seen_time=stamp(record.last_seen_time),
    )
