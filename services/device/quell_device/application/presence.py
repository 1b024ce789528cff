"""Which devices are there: written down, and reported to the Action Center, by one worker, in order.

Reports are made of what is written down, and all are made anew for each stream of the Action Center: so none is lost,
and none needs a journal of its own.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from quell.executor.v1 import executor_service_pb2, target_report_pb2

from quell_device.application.registry import Registry, Sight
from quell_device.application.session import Session
from quell_device.application.uplink import Uplink
from quell_device.domain.records import DeviceRecord
from quell_runtime.errors import QuellError
from quell_runtime.seams import Rng, new_uuid, stamp

AT_ONCE = 256
TOUCH_SECONDS = 60.0
RETRY_SECONDS = 1.0
_log = structlog.get_logger()


class Presence:
    """Marked devices are looked at soon. `sessions` are the streams that count, by device."""

    def __init__(self, registry: Registry, rng: Rng, sessions: Mapping[str, Session], uplink: Uplink) -> None:
        """Begin with none marked."""
        self._registry = registry
        self._rng = rng
        self._sessions = sessions
        self._marked: dict[str, bool] = {}
        self._uplink = uplink
        self._wake = asyncio.Event()

    def mark(self, devices: Iterable[str], *, report: bool = True) -> None:
        """Have devices looked at; `report`: and the Action Center told how they are."""
        for device in devices:
            self._marked[device] = report or self._marked.get(device, False)
        self._wake.set()

    async def run(self) -> None:
        """Look at what is marked, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(TOUCH_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self.mark([device for device, session in self._sessions.items() if session.heard], report=False)
            self._wake.clear()
            while marked := dict(list(self._marked.items())[:AT_ONCE]):
                for device in marked:
                    del self._marked[device]
                await self._look(marked)

    async def _look(self, marked: dict[str, bool]) -> None:
        try:
            found = await self._registry.seen({device: self._sight(device) for device in marked})
        except QuellError as error:
            _log.warning("presence_not_stored", reason=error.reason)
            self.mark([device for device, report in marked.items() if report])
            self.mark(marked, report=False)
            await asyncio.sleep(RETRY_SECONDS)
            return
        for record in found:
            if marked[record.id]:
                await self._uplink.put(executor_service_pb2.WorkResponse(targets=self._report(record)))

    def _sight(self, device: str) -> Sight:
        session = self._sessions.get(device)
        if session is None or session.hello is None:
            return Sight(connected=False)
        session.heard = False
        return Sight(connected=True, hello=session.hello, facts=session.facts)

    def _report(self, record: DeviceRecord) -> executor_service_pb2.TargetReports:
        report = target_report_pb2.TargetReport(
            id=new_uuid(self._rng),
            target=record.name,
            enrolment=record.enrolment,
            state=target_report_pb2.TargetState.Value(f"TARGET_STATE_{record.state.name}"),
            host_name=record.host_name,
            kinds=record.hello.kinds if record.hello else (),
            last_seen_time=stamp(record.last_seen_time),
            tags=record.tags,
        )
        return executor_service_pb2.TargetReports(reports=[report])
