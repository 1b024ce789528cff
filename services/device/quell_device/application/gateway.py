"""The router between the Action Center's one stream and the agents' many.

It hands on what others have sealed, and keeps nothing of it. What comes up while the Action Center is away is dropped:
when it is back, its hello goes down to every agent, which begins the conversation anew and sends again all that is not
stored. What comes down for a device that is away is dropped too: it is sent again when the device is reported there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2, target_report_pb2

from quell_device.application.center import PROTOCOL, Center
from quell_device.application.departures import Departures
from quell_device.application.downward import Downward, Heed
from quell_device.application.errands import Errands
from quell_device.application.lane import Lane, conversation
from quell_device.application.presence import Presence
from quell_device.application.registry import Registry
from quell_device.application.session import BYTES_AS_ONE, OWN_WORDS, Session
from quell_device.application.streams import Streams
from quell_device.application.uplink import Uplink
from quell_device.domain.batches import joined
from quell_device.domain.errors import BannedError, KeyMismatchError, OffboardedError
from quell_device.domain.records import GONE, DeviceState
from quell_device.domain.routes import Routes, allowed, ids_of
from quell_device.store.tables import DEVICES
from quell_executor.accesses import Accesses
from quell_executor.transport import ProtocolUnsupportedError
from quell_runtime.errors import QuellError
from quell_runtime.kinds import kinds
from quell_runtime.sealing import device_id, key_id_of
from quell_runtime.seams import Clock, Rng
from quell_runtime.store import Change

ROOM = 1024
"""Messages that may wait for the Action Center; then agents are slowed down."""
WINDOW = 10_000
"""Warrants without a receipt, of all devices together."""
LEAVE_WITHIN = 5.0
"""Seconds that an offboarded device has to end its stream itself."""


class Gateway:
    """Hands on. `identity_key` is the device service's own public key, by which the Action Center knows it."""

    def __init__(self, registry: Registry, center: Center, clock: Clock, rng: Rng, identity_key: bytes) -> None:
        """Begin with nobody connected."""
        self._registry = registry
        self._center = center
        self._identity_key = identity_key
        self._routes = Routes()
        self._uplink = Uplink()
        self._streams = Streams(center, self._uplink, clock)
        self.accesses = Accesses(self._uplink, rng)
        self.departures = Departures(registry)
        heed = Heed(Errands(registry.store, clock), self.accesses, self.departures)
        self._downward = Downward(self._streams, center, self._uplink, self._routes, heed)
        self.presence = Presence(registry, rng, self._streams.by_device, self._uplink)
        registry.store.listen(self._changed)

    async def work(
        self, requests: AsyncIterator[executor_service_pb2.WorkRequest]
    ) -> AsyncGenerator[executor_service_pb2.WorkResponse, None]:
        """Talk with the Action Center; a newer stream takes the place of this one."""
        lane: Lane[executor_service_pb2.WorkResponse] = Lane(ROOM)
        async with aclosing(conversation(lane, partial(self._hear_center, lane, requests))) as batches:
            async for batch in batches:
                for response in joined(batch):
                    yield response

    async def connect(
        self, device: str, requests: AsyncIterator[agent_service_pb2.ConnectRequest]
    ) -> AsyncGenerator[agent_service_pb2.ConnectResponse, None]:
        """Talk with the agent of a device; a newer stream takes the place of this one.

        Raises:
            StrangerError, BannedError, AmbiguousError, ReplacedError, ...: As they say.

        """
        session = self._streams.join(await self._registry.admitted(device))
        try:
            # Again, now that a ban would meet this stream.
            await self._registry.admitted(device)
            async with aclosing(conversation(session.lane, partial(self._hear_agent, session, requests))) as batches:
                async for batch in batches:
                    for response in batch:
                        yield response
        finally:
            if self._streams.leave(session):
                self.presence.mark([device])

    async def _hear_center(
        self,
        lane: Lane[executor_service_pb2.WorkResponse],
        requests: AsyncIterator[executor_service_pb2.WorkRequest],
    ) -> None:
        first = await anext(requests, executor_service_pb2.WorkRequest())
        if not first.HasField("hello"):
            raise ProtocolUnsupportedError("the first message is a hello")
        await self._center.greeted(first.hello)
        self._uplink.opened(lane)
        await lane.put(executor_service_pb2.WorkResponse(hello=self._hello()))
        again = self._streams.begin_anew()
        # Those that say hello again are reported then.
        self.presence.mark(set(await self._registry.devices()) - again)
        async for request in requests:
            if lane.closed:
                return
            await self._downward.hand(request)

    def _hello(self) -> executor_service_pb2.ExecutorHello:
        """Offer what a device can be asked for; which can serve what, their reports say."""
        offered = [target_report_pb2.Kind(name=name) for name, kind in kinds().items() if kind.plane == "device"]
        return executor_service_pb2.ExecutorHello(
            version=PROTOCOL, identity_key=self._identity_key, kinds=offered, window=WINDOW
        )

    async def _hear_agent(self, session: Session, requests: AsyncIterator[agent_service_pb2.ConnectRequest]) -> None:
        async for request in requests:
            own_words = request.HasField("facts") or request.up.HasField("hello")
            await session.allow(max(OWN_WORDS if own_words else 1, request.ByteSize() / BYTES_AS_ONE))
            if session.lane.closed:
                return
            if request.HasField("facts"):
                self._learn_facts(session, request.facts)
            elif request.up.HasField("hello"):
                self._learn_hello(session, request.up.hello)
            elif session.hello is None:
                raise ProtocolUnsupportedError("the first message is a hello")
            else:
                await self._hand_up(session, request.up)

    def _learn_facts(self, session: Session, facts: agent_service_pb2.DeviceFacts) -> None:
        renamed = facts.host_name != session.host_name
        session.facts, session.host_name = facts, facts.host_name
        self.presence.mark([session.device], report=renamed)

    def _learn_hello(self, session: Session, hello: executor_service_pb2.ExecutorHello) -> None:
        if hello.version != PROTOCOL:
            raise ProtocolUnsupportedError(f"version {PROTOCOL} of the protocol is spoken here")
        if device_id(key_id_of(hello.identity_key)) != session.device:
            raise KeyMismatchError("the identity key is not that of the device whose certificate this is")
        session.hello = hello
        self.presence.mark([session.device])

    async def _hand_up(self, session: Session, response: executor_service_pb2.WorkResponse) -> None:
        permitted = allowed(response, session.device, session.queries, self._routes)
        if permitted is None or not self._uplink.there:
            return
        self.departures.heard(session.device, permitted)
        ids = ids_of(permitted)
        await session.sent_up(ids)
        self._streams.wait_for(ids, session)
        await self._uplink.put(permitted)

    def _changed(self, changes: Sequence[Change[Any]]) -> None:
        for change in changes:
            if change.table is not DEVICES or change.after is None:
                continue
            if change.before and change.before.tags != change.after.tags:
                self.presence.mark([change.after.id])
            if change.after.state in GONE:
                if change.after.state is DeviceState.BANNED:
                    self._cut(change.after.id, BannedError("the device is banned"))
                else:
                    left = OffboardedError("the device was offboarded")
                    # By itself it leaves when it hears that its receipt is stored.
                    asyncio.get_running_loop().call_later(LEAVE_WITHIN, self._cut, change.after.id, left)
                self.presence.mark([change.after.id])

    def _cut(self, device: str, why: QuellError) -> None:
        if session := self._streams.by_device.get(device):
            session.lane.close(why)
