"""Conversations with whoever sends warrants: one at a time, the newest."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import structlog
from quell.executor.v1 import executor_service_pb2, target_report_pb2

from quell_executor.session import Session
from quell_executor.settings import Settings
from quell_executor.transport import (
    DeploymentMismatchError,
    ProtocolUnsupportedError,
    StreamReplacedError,
    Transport,
    TransportClosedError,
)
from quell_runtime.sealing import SealInvalidError, SealKey

VERSION = 1
MOST_START = (1 << 63) - 1
"""The journal holds no larger number."""

log = structlog.get_logger()


class Listener(Protocol):
    """Who does what is said."""

    async def met_center(self, start: int) -> None:
        """Note the start number of the centre that speaks.

        Raises:
            CenterOutdatedError: One that started later was here.

        """

    async def met(self, session: Session) -> None:
        """Say what is to be said first, after hello."""

    async def heard(self, session: Session, request: executor_service_pb2.WorkRequest) -> None:
        """Do what a message says.

        Raises:
            SealInvalidError: It isn't sealed by whom it must be; nothing has changed.

        """


class Conversations:
    """Holds conversations; `session` is the one that is open, if any."""

    def __init__(self, settings: Settings, key: SealKey, kinds: Sequence[str], listener: Listener) -> None:
        """Take what hello says, and who listens."""
        self._settings = settings
        self._key = key
        self._kinds = kinds
        self._listener = listener
        self._replaced: asyncio.Future[None] | None = None
        self.session: Session | None = None

    @property
    def there(self) -> bool:
        """Whether somebody listens."""
        return self.session is not None

    async def put(self, response: executor_service_pb2.WorkResponse) -> None:
        """Say something in the conversation that is open, if one is."""
        if self.session:
            self.session.mention(response)

    async def hold(self, transport: Transport) -> None:
        """Hold a conversation until it is over."""
        down = aiter(transport)
        try:
            await self._meet(await anext(down, None))
            await self._converse(transport, down)
        except TransportClosedError:
            return

    async def _meet(self, first: executor_service_pb2.WorkRequest | None) -> None:
        if first is None:
            raise TransportClosedError("it was over before a word was said")
        if not first.HasField("hello") or VERSION not in first.hello.versions:
            raise ProtocolUnsupportedError(f"this executor speaks version {VERSION}, and expects a hello first")
        if first.hello.deployment != self._settings.deployment:
            raise DeploymentMismatchError("the executor belongs to another deployment")
        if first.hello.start > MOST_START:
            raise ProtocolUnsupportedError("no centre has started so often, nor so late")
        await self._listener.met_center(first.hello.start)

    async def _converse(self, transport: Transport, down: AsyncIterator[executor_service_pb2.WorkRequest]) -> None:
        if self._replaced and not self._replaced.done():
            self._replaced.set_exception(StreamReplacedError("a newer conversation took its place"))
        replaced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        session = Session(transport, self._key)
        self.session, self._replaced = session, replaced
        await self._say_all(session)
        tasks = [asyncio.create_task(session.pump()), asyncio.create_task(self._listen(session, down))]
        try:
            done, _ = await asyncio.wait([*tasks, replaced], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            if self.session is session:
                self.session = None
            replaced.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_all(self, session: Session) -> None:
        """Begin: who we are, what is not stored yet, how what is in force is now."""
        session.greet(self._hello())
        await self._listener.met(session)

    def _hello(self) -> executor_service_pb2.WorkResponse:
        offered = [target_report_pb2.Kind(name=name) for name in self._kinds]
        missing = [target_report_pb2.Kind(name=name, missing=why) for name, why in self._settings.missing.items()]
        return executor_service_pb2.WorkResponse(
            hello=executor_service_pb2.ExecutorHello(
                version=VERSION,
                identity_key=self._key.public,
                kinds=[*offered, *missing],
                window=self._settings.window,
            )
        )

    async def _listen(self, session: Session, down: AsyncIterator[executor_service_pb2.WorkRequest]) -> None:
        async for request in down:
            if request.HasField("hello"):
                # A router's stream outlives the centre's: its hello begins the conversation anew.
                await self._meet(request)
                await self._say_all(session)
                continue
            try:
                await self._listener.heard(session, request)
            except SealInvalidError as error:
                log.warning("seal_invalid", message=request.WhichOneof("message"), why=error.message)
