"""Telling the audit log who takes what, before it is given out. The log is the Action Center's."""

import asyncio
from collections.abc import Iterable

from quell.executor.v1 import executor_service_pb2

from quell_device.application.uplink import Uplink
from quell_device.domain.errors import AuditAwayError
from quell_runtime.seams import Rng, new_uuid

PATIENCE_S = 10.0


class Accesses:
    """What was told and is not stored yet. A stream that breaks loses it, and nothing is given out."""

    def __init__(self, uplink: Uplink, rng: Rng, patience_s: float = PATIENCE_S) -> None:
        """Tell by the uplink, and wait so long for the answer."""
        self._uplink = uplink
        self._rng = rng
        self._patience_s = patience_s
        self._untold: dict[str, asyncio.Future[None]] = {}

    async def tell(self, actor: str, resource: str, comment: str, offset: int) -> None:
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
            async with asyncio.timeout(self._patience_s if self._uplink.there else 0):
                await self._uplink.put(told)
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
