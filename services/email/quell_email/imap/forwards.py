"""What sends mail on, as scripts on a ManageSieve server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from quell_email.domain.forwards import RULE, Script, within_limits
from quell_email.imap.managesieve import LoginError, ManageSieveError, Session, SieveServer, session
from quell_email.threads import to_the_end
from quell_executor.effect import RefusedError
from quell_runtime.seams import Point, nowhere

AT_ONCE = 8
PATIENCE_S = 30.0
Known = Callable[[], Awaitable[Collection[str]]]


class ServerForwards:
    """The scripts of a server's mailboxes."""

    def __init__(self, server: SieveServer, known: Known, point: Point = nowhere) -> None:
        """Connect to nothing yet. `known` tells which mailboxes there are: a server may let any name in."""
        self._server = server
        self._known = known
        self._point = point
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def read(self, mailbox: str) -> Sequence[Script]:
        """Return every script."""
        if mailbox not in await self._known():
            raise RefusedError("MAILBOX_UNKNOWN", "the mailbox that the order names is not here")
        async with self._session(mailbox) as at:
            found = []
            for name, active in await at.scripts():
                content = await _there(at, name)
                if content is not None:
                    found.append(Script(name, RULE, content, active, name))
                    list(within_limits(found))
            return found

    async def replace(self, mailbox: str, old: Script, new: Script) -> bool:
        """Replace a script that is still the old one. Between looking and writing lies one round trip to the server."""
        return await to_the_end(asyncio.ensure_future(self._replace(mailbox, old, new)))

    async def _replace(self, mailbox: str, old: Script, new: Script) -> bool:
        async with self._session(mailbox) as at:
            now = await _there(at, old.place)
            if now == old.content != new.content:
                self._point("forwards.looked")
                await at.put(old.place, new.content)
                self._point("forwards.put")
                now = await _there(at, old.place)
            return now == new.content

    @asynccontextmanager
    async def _session(self, mailbox: str) -> AsyncIterator[Session]:
        try:
            async with self._turn, asyncio.timeout(PATIENCE_S), session(self._server, mailbox) as at:
                yield at
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise RefusedError("BACKEND_AWAY", "the server of scripts does not answer", retryable=True) from error
        except ManageSieveError as error:
            raise _refused(error) from error


def _refused(error: ManageSieveError) -> RefusedError:
    if error.code == "TRYLATER":
        return RefusedError("BACKEND_AWAY", "the server of scripts is busy", retryable=True)
    if isinstance(error, LoginError):
        return RefusedError("MAILBOX_UNKNOWN", "the server of scripts does not let us in for this mailbox")
    return RefusedError("SCRIPT_REFUSED", "the server does not take or give a script")


async def _there(at: Session, name: str) -> bytes | None:
    """Return a script's content, or None if there is no such script."""
    try:
        return await at.get(name)
    except ManageSieveError as error:
        if error.code == "NONEXISTENT":
            return None
        raise
