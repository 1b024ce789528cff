"""The executor process's end of the line: it starts the talker, again and again, and holds conversations through it."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Callable, Coroutine

import structlog
from google.protobuf.message import Message
from quell.agent.v1 import line_pb2
from quell.executor.v1 import executor_service_pb2

from quell_agent.bringing import Bringing
from quell_agent.frames import FrameError, Frames
from quell_agent.identity import Identity, RootStrangeError
from quell_agent.settings import AgentSettings
from quell_agent.talkers import talking
from quell_executor.executor import Executor
from quell_executor.transport import TransportClosedError
from quell_runtime.errors import QuellError
from quell_runtime.seams import Rng

log = structlog.get_logger()
FIRST_WAIT = 0.2
LONGEST_WAIT = 60.0
STEADY = 30.0
"""Seconds after which a talker counts as good, and the next wait is a short one again."""
ENROL_AGAIN_AFTER = 5.0
WAITING = 16
MOST_HOSTS = 16
MOST_SAID = 500
"""Characters of what a talker says that go into the log."""


class Conversation:
    """A conversation through the talker, as the kit's transport."""

    def __init__(self, stream: int, line: Frames[line_pb2.FromTalker]) -> None:
        """Take its number, and the line."""
        self._stream = stream
        self._line = line
        self.downs: asyncio.Queue[executor_service_pb2.WorkRequest] = asyncio.Queue(WAITING)

    async def send(self, message: executor_service_pb2.WorkResponse) -> None:
        """Send a message."""
        try:
            await self._line.send(line_pb2.ToTalker(up=line_pb2.Up(stream=self._stream, message=message)))
        except OSError as error:
            raise TransportClosedError("the talker is gone") from error

    async def __aiter__(self) -> AsyncIterator[executor_service_pb2.WorkRequest]:
        """Return what comes."""
        while True:
            yield await self.downs.get()

    async def hang_up(self) -> None:
        """Have the stream ended."""
        with contextlib.suppress(OSError):
            await self._line.send(line_pb2.ToTalker(hang_up=line_pb2.HangUp(stream=self._stream)))


class Line:
    """Keeps a talker, and an executor in conversation through it. What it says wrong ends it, and another begins."""

    def __init__(self, identity: Identity, settings: AgentSettings, rng: Rng, connected: Callable[[], None]) -> None:
        """Take who the agent is; `connected` is called whenever a conversation begins."""
        self._identity = identity
        self._settings = settings
        self._rng = rng
        self._connected = connected
        self._line: Frames[line_pb2.FromTalker] | None = None
        self._executor: Executor | None = None
        self._conversation: Conversation | None = None
        self._holding: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None
        self.welcome: asyncio.Future[line_pb2.Enrolled] = asyncio.get_running_loop().create_future()
        self.uploads = Bringing(self._say)

    async def run(self) -> None:
        """Keep a talker for ever.

        Raises:
            QuellError: A new agent can't enrol: the token can't be used, or who answers is not whom it names.

        """
        wait, loop = FIRST_WAIT, asyncio.get_running_loop()
        while True:
            begin = loop.time()
            try:
                async with talking(self._settings) as line:
                    await self._serve(line)
                log.warning("talker_ended")
            except (FrameError, OSError) as error:
                log.warning("talker_failed", why=str(error))
            finally:
                self._line = None
                self._end()
            wait = FIRST_WAIT if loop.time() - begin > STEADY else min(wait * 2, LONGEST_WAIT)
            await asyncio.sleep(wait * (1 + self._rng.fraction()) / 2)

    async def stay(self, executor: Executor) -> None:
        """Hold an executor's conversations from now on."""
        self._executor = executor
        await self._stay()

    async def _serve(self, line: Frames[line_pb2.FromTalker]) -> None:
        self._line = line
        if self._identity.enrolled:
            await self._stay()
        else:
            await self._enrol()
        await self.uploads.begin()
        async for said in line:
            await self._heard(said)

    async def _heard(self, said: line_pb2.FromTalker) -> None:
        match said.WhichOneof("message"):
            case "enrolled":
                await self._enrolled(said.enrolled)
            case "not_enrolled":
                self._not_enrolled(said.not_enrolled)
            case "certificate_over":
                self._later(self._enrol())
            case "resolved":
                self._resolved(said.resolved)
            case "opened" if self._executor and self._line:
                self._open(self._executor, Conversation(said.opened.stream, self._line))
            case "down" if self._conversation:
                await self._conversation.downs.put(said.down)
            case "closed":
                self._end()
            case "want" | "brought" | "not_brought":
                self.uploads.heard(said)

    async def _say(self, message: Message) -> None:
        if self._line:
            with contextlib.suppress(OSError):
                await self._line.send(message)

    async def _stay(self) -> None:
        if self._executor:
            stay = line_pb2.Stay(address=self._identity.home().address, known_hosts=self._identity.hosts())
            await self._say(line_pb2.ToTalker(stay=stay))

    async def _enrol(self) -> None:
        await self._say(line_pb2.ToTalker(enrol=self._identity.enrolment()))

    async def _enrolled(self, answer: line_pb2.Enrolled) -> None:
        try:
            self._identity.settle(answer)
        except RootStrangeError as error:
            if not self._identity.enrolled:
                raise
            # Nobody who answers in our home's place ends this agent: what is in force here must end in its time.
            self._not_enrolled(line_pb2.NotEnrolled(message=error.message))
            return
        if not self.welcome.done():
            self.welcome.set_result(answer)
        await self._stay()

    def _not_enrolled(self, answer: line_pb2.NotEnrolled) -> None:
        if not answer.retryable and not self._identity.enrolled:
            raise QuellError(answer.message)
        log.info("enrolment_waits", why=answer.message[:MOST_SAID])
        self._later(self._enrol_again(ENROL_AGAIN_AFTER if answer.retryable else LONGEST_WAIT))

    async def _enrol_again(self, after: float) -> None:
        await asyncio.sleep(after * (1 + self._rng.fraction()) / 2)
        await self._enrol()

    def _later(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside the hearing; what was to be done before is not done any more."""
        if self._again:
            self._again.cancel()
        self._again = asyncio.create_task(work)

    def _resolved(self, answer: line_pb2.Resolved) -> None:
        try:
            hosts = sorted(str(ipaddress.ip_address(each)) for each in answer.hosts[:MOST_HOSTS])
        except ValueError:
            raise FrameError("a host is no address") from None
        if hosts and hosts != self._identity.hosts():
            self._identity.keep_hosts(hosts)

    def _open(self, executor: Executor, conversation: Conversation) -> None:
        self._end()
        self._conversation = conversation
        self._holding = asyncio.create_task(self._hold(executor, conversation))
        self._connected()

    async def _hold(self, executor: Executor, conversation: Conversation) -> None:
        try:
            await executor.serve(conversation)
        except QuellError as error:
            log.info("conversation_ended", reason=error.reason)
        except Exception:
            # Whatever a gateway says: the agent stays, since what is in force here must end in its time.
            log.exception("conversation_failed")
        finally:
            if self._conversation is conversation:
                self._conversation = None
            # Whoever waits for room in it finds some; what comes from now on is dropped.
            while not conversation.downs.empty():
                conversation.downs.get_nowait()
        await conversation.hang_up()

    def _end(self) -> None:
        self._conversation = None
        if self._holding:
            self._holding.cancel()
            self._holding = None
