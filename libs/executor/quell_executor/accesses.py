"""Telling the audit log who takes or sees what, before it is given out. The log is the Action Center's."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from quell.executor.v1 import executor_service_pb2

from quell_runtime.errors import AwayError
from quell_runtime.seams import Rng, new_uuid

PATIENCE_S = 10.0


class AuditAwayError(AwayError):
    """The audit log can't be written, so nothing is given out."""

    reason = "AUDIT_AWAY"


class Upward(Protocol):
    """The way up to the Action Center, which may be away."""

    @property
    def there(self) -> bool:
        """Whether somebody listens."""

    async def put(self, response: executor_service_pb2.WorkResponse) -> None:
        """Send, as soon as there is room."""


class Accesses:
    """What was told and is not stored yet. A stream that breaks loses it, and nothing is given out."""

    def __init__(self, up: Upward, rng: Rng, patience_s: float = PATIENCE_S) -> None:
        """Tell by this way, and wait so long for the answer."""
        self._up = up
        self._rng = rng
        self._patience_s = patience_s
        self._untold: dict[str, asyncio.Future[None]] = {}

    async def tell(self, actor: str, resource: str, comment: str, offset: int = 0) -> None:
        """Return once it is in the log.

        Raises:
            AuditAwayError: Nobody has said that it is.

        """
        access = executor_service_pb2.Access(
            id=new_uuid(self._rng), actor=actor, resource=resource, comment=comment, offset=offset
        )
        told = executor_service_pb2.WorkResponse(accesses=executor_service_pb2.Accesses(accesses=[access]))
        self._untold[access.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._patience_s if self._up.there else 0):
                await self._up.put(told)
                await self._untold[access.id]
        except TimeoutError:
            raise AuditAwayError("the Action Center can't write down who takes it, so it is not given out") from None
        finally:
            del self._untold[access.id]

    def stored(self, ids: Iterable[str]) -> None:
        """Note what is in the log."""
        for each in ids:
            if (waiting := self._untold.get(each)) is not None and not waiting.done():
                waiting.set_result(None)
