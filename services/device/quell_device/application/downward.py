"""What the Action Center says, handed to those whom it concerns."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError
from quell.executor.v1 import executor_service_pb2, plan_pb2
from quell.warrant.v1 import seal_pb2, warrant_pb2

from quell_device.application.center import Center
from quell_device.application.departures import Departures
from quell_device.application.errands import Errands
from quell_device.application.streams import Streams
from quell_device.application.uplink import Uplink
from quell_device.domain.routes import Routes, not_seen
from quell_executor.accesses import Accesses
from quell_runtime.kinds import device_of
from quell_runtime.sealing import SealInvalidError, device_id

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Heed:
    """Who else heeds what comes down."""

    errands: Errands
    accesses: Accesses
    departures: Departures


class Downward:
    """Hands down. A warrant says for whom it is; whether it holds is for that one to check."""

    def __init__(self, streams: Streams, center: Center, uplink: Uplink, routes: Routes, heed: Heed) -> None:
        """Hand down to the streams, and answer for those who are away."""
        self._streams = streams
        self._center = center
        self._uplink = uplink
        self._routes = routes
        self._heed = heed

    async def hand(self, request: executor_service_pb2.WorkRequest) -> None:
        """Hand a message down."""
        match request.WhichOneof("message"):
            case "warrants":
                await self._warrants(request.warrants.warrants)
            case "cancels":
                self._cancels(request.cancels.actions)
            case "plan":
                self._ask(request.plan)
            case "stored":
                self._streams.stored(request.stored.ids)
                self._heed.accesses.stored(request.stored.ids)
                await self._heed.departures.stored(request.stored.ids)
            case "freeze" | "key_set":
                for session in self._streams.all():
                    session.tell(request)
                await self._learn(request)

    async def _warrants(self, warrants: Iterable[seal_pb2.Sealed]) -> None:
        handed: list[tuple[warrant_pb2.Warrant, str, seal_pb2.Sealed]] = []
        for sealed in warrants:
            try:
                warrant = warrant_pb2.Warrant.FromString(sealed.body)
            except DecodeError:
                _log.warning("warrant_unreadable")
                continue
            device = device_id(warrant.target_key)
            if device in self._streams.by_device:
                self._routes.handed(warrant.action, device)
                handed.append((warrant, device, sealed))
        await self._heed.errands.note((warrant, device) for warrant, device, _ in handed)
        by_device: dict[str, list[seal_pb2.Sealed]] = {}
        for _, device, sealed in handed:
            by_device.setdefault(device, []).append(sealed)
        for device, theirs in by_device.items():
            # It may have gone meanwhile; what it did not get comes again when it is back.
            if session := self._streams.by_device.get(device):
                session.tell(executor_service_pb2.WorkRequest(warrants=executor_service_pb2.Warrants(warrants=theirs)))

    def _cancels(self, actions: Iterable[str]) -> None:
        """Hand each to its device; what we don't know was handed on before we started, to any of them."""
        by_device: dict[str, list[str]] = {}
        for action in actions:
            device = self._routes.of(action)
            for each in [device] if device else self._streams.by_device:
                by_device.setdefault(each, []).append(action)
        for device, theirs in by_device.items():
            if session := self._streams.by_device.get(device):
                cancels = executor_service_pb2.Cancels(actions=theirs)
                session.tell(executor_service_pb2.WorkRequest(cancels=cancels))

    def _ask(self, query: plan_pb2.PlanQuery) -> None:
        session = self._streams.by_device.get(device_of(query.remediation).removeprefix("devices/"))
        if session is None or session.hello is None:
            self._uplink.offer(not_seen(query.id))
            return
        session.queries.add(query.id)
        session.tell(executor_service_pb2.WorkRequest(plan=query))

    async def _learn(self, request: executor_service_pb2.WorkRequest) -> None:
        try:
            if request.HasField("freeze"):
                await self._center.learn_freeze(request.freeze)
            else:
                await self._center.learn_keys(request.key_set)
        except (SealInvalidError, DecodeError) as error:
            _log.warning("center_words_not_kept", error=str(error))
