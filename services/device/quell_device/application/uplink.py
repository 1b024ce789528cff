"""The way up to the Action Center, which may be away."""

from quell.executor.v1 import executor_service_pb2

from quell_device.application.lane import Lane
from quell_device.domain.errors import ReplacedError


class Uplink:
    """The lane of its newest stream. What is sent while there is none is dropped."""

    def __init__(self) -> None:
        """Begin without one."""
        self._lane: Lane[executor_service_pb2.WorkResponse] | None = None

    @property
    def there(self) -> bool:
        """Whether somebody listens."""
        return self._lane is not None and not self._lane.closed

    def opened(self, lane: Lane[executor_service_pb2.WorkResponse]) -> None:
        """Send by this stream from now on; it takes the place of an older one."""
        if self._lane is not None:
            self._lane.close(ReplacedError("a newer stream was opened"))
        self._lane = lane

    async def put(self, response: executor_service_pb2.WorkResponse) -> None:
        """Send, as soon as there is room."""
        if self._lane is not None:
            await self._lane.put(response)

    def offer(self, response: executor_service_pb2.WorkResponse) -> None:
        """Send if there is room now."""
        if self._lane is not None:
            self._lane.offer(response)
