"""What the talker does: it carries what either side says to the other, and understands none of it."""

import asyncio
from collections.abc import Coroutine, Sequence

import grpc
import structlog
from quell.agent.v1 import line_pb2
from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2

from quell_agent.frames import Frames
from quell_agent.talker.certificate import Certificate
from quell_agent.talker.link import FIRST_WAIT, LONGEST_WAIT, Call, Link
from quell_agent.talker.uploads import BrokenOffError, NeverStoredError, upload
from quell_runtime import addresses
from quell_runtime.errors import QuellError
from quell_runtime.seams import Clock, Rng

log = structlog.get_logger()
WAITING = 16
"""Messages on their way up; whoever sends more waits."""
Up = executor_service_pb2.WorkResponse


class Talker:
    """Does what the executor process says, and says what the gateway does."""

    def __init__(self, line: Frames[line_pb2.ToTalker], certificate: Certificate, clock: Clock, rng: Rng) -> None:
        """Speak over a line."""
        self._line = line
        self._certificate = certificate
        self._clock = clock
        self._rng = rng
        self._link: Link | None = None
        self._work: asyncio.Task[None] | None = None
        self._bringing: asyncio.Task[None] | None = None
        self._parts: asyncio.Queue[line_pb2.Part] = asyncio.Queue()
        self._stream = 0
        self._ups: asyncio.Queue[Up] = asyncio.Queue(WAITING)
        self._hung_up = asyncio.Event()

    async def run(self) -> None:
        """Serve until the executor process is gone."""
        async for said in self._line:
            match said.WhichOneof("message"):
                case "enrol":
                    self._work = self._instead(self._work, self._enrol(said.enrol))
                case "stay":
                    self._work = self._instead(self._work, self._stay(said.stay))
                case "up" if said.up.stream == self._stream:
                    await self._ups.put(said.up.message)
                case "hang_up" if said.hang_up.stream == self._stream:
                    self._hung_up.set()
                case "bring":
                    self._bringing = self._instead(self._bringing, self._bring(said.bring))
                case "part":
                    self._parts.put_nowait(said.part)

    def _instead(self, former: asyncio.Task[None] | None, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        if former:
            former.cancel()
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process if something ended that should not: a new one begins afresh."""
        if not task.cancelled() and (error := task.exception()):
            log.error("talker_failed", exc_info=error)
            self._line.close()

    async def _enrol(self, enrol: line_pb2.Enrol) -> None:
        """Try once. The statement grows old: whoever makes it has to say it anew."""
        try:
            enrolled = await self._certificate.enrol(enrol)
        except grpc.aio.AioRpcError as error:
            retryable = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            await self._not_enrolled(f"enrolment was refused: {error.details()}", retryable=retryable)
        except QuellError as error:
            await self._not_enrolled(error.message, retryable=False)
        except OSError as error:
            await self._not_enrolled(f"{enrol.address} can't be reached: {type(error).__name__}", retryable=True)
        else:
            await self._line.send(line_pb2.FromTalker(enrolled=enrolled))

    async def _not_enrolled(self, message: str, *, retryable: bool) -> None:
        failed = line_pb2.NotEnrolled(message=message, retryable=retryable)
        await self._line.send(line_pb2.FromTalker(not_enrolled=failed))

    async def _stay(self, stay: line_pb2.Stay) -> None:
        gateway = addresses.parse(stay.address)
        self._link = Link(gateway, stay.known_hosts, self._certificate, self, self._rng)
        await self._link.run()
        await self._line.send(line_pb2.FromTalker(certificate_over=line_pb2.CertificateOver()))

    async def resolved(self, hosts: Sequence[str]) -> None:
        """Say what the gateway's name stands for."""
        await self._line.send(line_pb2.FromTalker(resolved=line_pb2.Resolved(hosts=hosts)))

    async def converse(self, call: Call) -> None:
        """Carry a conversation until the gateway or the executor ends it."""
        self._stream += 1
        ups: asyncio.Queue[Up] = asyncio.Queue(WAITING)
        self._ups, self._hung_up = ups, asyncio.Event()
        await self._line.send(line_pb2.FromTalker(opened=line_pb2.Opened(stream=self._stream)))
        tasks = [
            asyncio.create_task(work) for work in (self._carry_up(call, ups), self._carry_down(call), self._end_of_it())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # What comes for it from now on is dropped, and whoever waits for room in the queue finds some.
            self._stream += 1
            while not ups.empty():
                ups.get_nowait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._line.send(line_pb2.FromTalker(closed=line_pb2.Closed()))
        for task in done:
            if not task.cancelled():
                task.result()

    async def _carry_up(self, call: Call, ups: "asyncio.Queue[Up]") -> None:
        while True:
            await call.write(agent_service_pb2.ConnectRequest(up=await ups.get()))

    async def _carry_down(self, call: Call) -> None:
        async for response in call:
            if response.HasField("down"):
                await self._line.send(line_pb2.FromTalker(down=response.down))

    async def _end_of_it(self) -> None:
        await self._hung_up.wait()

    async def _bring(self, bring: line_pb2.Bring) -> None:
        """Bring an artifact in, however often the way breaks."""
        wait = FIRST_WAIT
        while True:
            try:
                if self._link:
                    async with asyncio.timeout(LONGEST_WAIT):
                        stub = await self._link.stub()
                    answer = await upload(stub, bring.header, lambda offset: self._part(bring.number, offset))
                    break
            except TimeoutError:
                continue  # there may be another link by now
            except NeverStoredError as error:
                failed = line_pb2.NotBrought(number=bring.number, reason=error.reason)
                await self._line.send(line_pb2.FromTalker(not_brought=failed))
                return
            except BrokenOffError as error:
                log.info("artifact_broken_off", code=str(error))
            wait = min(wait * 2, LONGEST_WAIT)
            await asyncio.sleep(wait * (1 + self._rng.fraction()) / 2)
        delete_time = answer.delete_time if answer.HasField("delete_time") else None
        brought = line_pb2.Brought(number=bring.number, artifact=answer.artifact, delete_time=delete_time)
        await self._line.send(line_pb2.FromTalker(brought=brought))

    async def _part(self, number: int, offset: int) -> bytes:
        await self._line.send(line_pb2.FromTalker(want=line_pb2.Want(number=number, offset=offset)))
        while (part := await self._parts.get()).number != number or part.offset != offset:
            pass  # an answer to a bringing that was given up
        return part.data
