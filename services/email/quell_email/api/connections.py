"""Connections to the click endpoint that end: one that does not ask in time holds nobody else up."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

ASK_S = 10.0
"""How long a connection may take to say what it asks for, and to take the answer."""


class Bounded(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end for those who only hold a connection.

    uvicorn itself limits how long nothing may come after an answer, and how many connections there are; a request that
    is never finished it would wait for for ever.
    """

    def __init__(self, *args: Any, ask_s: float = ASK_S, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Give each connection so long."""
        super().__init__(*args, **options)
        self._ask_s = ask_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give it a time."""
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > 2 * self.limit_concurrency:
            # Those above the limit are told so; so many that even that is too much are not.
            transport.abort()
        self._end = self.loop.call_later(self._ask_s, self._late, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the time back."""
        self._end.cancel()
        super().connection_lost(exc)

    def _late(self, served: object) -> None:
        """End it, unless it has been served anew since the last look."""
        if self.cycle is served:
            self.transport.abort()
        else:
            self._end = self.loop.call_later(self._ask_s, self._late, self.cycle)
