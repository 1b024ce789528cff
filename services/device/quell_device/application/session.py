"""One agent's stream, and which one of several counts."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2

from quell_device.application.lane import Lane
from quell_device.domain.errors import AmbiguousError, SlowError
from quell_runtime.seams import Clock

ROOM = 256
"""Messages that may wait for an agent; one that reads slower is cut off, and is sent all of it when it is back."""
UNSTORED = 10_000
"""Ids that an agent may have sent without having heard that they are stored."""
RATE, BURST, OWN_WORDS = 500.0, 2000.0, 250.0
"""Messages a second that an agent may send, those that it may send at once, and for how many hello or facts count."""
BYTES_AS_ONE = 2048
"""Of a message; a longer one counts as several, since what it says is kept for good."""
REPLACEMENTS, WITHIN_SECONDS, REFUSED_SECONDS = 3, 60.0, 600.0


@dataclass(eq=False)
class Session:
    """One stream of one device."""

    device: str
    clock: Clock
    host_name: str = ""
    lane: Lane[agent_service_pb2.ConnectResponse] = field(default_factory=lambda: Lane(ROOM))
    hello: executor_service_pb2.ExecutorHello | None = None
    facts: agent_service_pb2.DeviceFacts | None = None
    heard: bool = True
    """Whether it has spoken since that was last written down."""
    greeted: bool = False
    """Whether the Action Center's hello went down: the next one begins the conversation anew."""
    queries: set[str] = field(default_factory=set)
    """Questions that it has not answered."""
    unstored: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin with all that it may send at once."""
        self._allowance, self._counted = BURST, self.clock.boot()
        self._stored = asyncio.Event()

    def tell(self, request: executor_service_pb2.WorkRequest) -> None:
        """Send a message; end the stream if too many wait."""
        if not self.lane.offer(agent_service_pb2.ConnectResponse(down=request)):
            self.lane.close(SlowError("it does not read what is sent: open a new stream"))

    async def allow(self, cost: float) -> None:
        """Wait until it may send so much; gRPC slows it down meanwhile."""
        now = self.clock.boot()
        self._allowance = min(BURST, self._allowance + (now - self._counted) * RATE) - cost
        self._counted, self.heard = now, True
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / RATE)

    async def sent_up(self, ids: Iterable[str]) -> None:
        """Note ids that go up, as soon as there are few enough that are not stored."""
        while len(self.unstored) >= UNSTORED and not self.lane.closed:
            self._stored.clear()
            await self._stored.wait()
        self.unstored.update(ids)

    def stored(self, ids: Iterable[str]) -> None:
        """Note ids that need not be sent again."""
        self.unstored.difference_update(ids)
        self._stored.set()

    def renew(self) -> None:
        """Begin the conversation anew: what it has sent is forgotten, and sent again."""
        self.queries.clear()
        self.stored(tuple(self.unstored))


class Replacements:
    """How often the streams of one device replaced each other."""

    def __init__(self, clock: Clock) -> None:
        """Count none yet."""
        self._clock = clock
        self._times: dict[str, deque[float]] = {}
        self._refused_until: dict[str, float] = {}

    def check(self, device: str) -> None:
        """Let a stream of the device in.

        Raises:
            AmbiguousError: There were too many.

        """
        until = self._refused_until.get(device, 0.0)
        if self._clock.boot() < until:
            raise AmbiguousError("two machines may have this identity: stop one, or ban the device")
        self._refused_until.pop(device, None)

    def count(self, device: str) -> None:
        """Count a stream that takes the place of another.

        Raises:
            AmbiguousError: It is one too many.

        """
        now = self._clock.boot()
        times = self._times.setdefault(device, deque(maxlen=REPLACEMENTS + 1))
        times.append(now)
        if len(times) > REPLACEMENTS and now - times[0] <= WITHIN_SECONDS:
            del self._times[device]
            self._refused_until[device] = now + REFUSED_SECONDS
            self.check(device)
