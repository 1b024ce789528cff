"""Connections to the server: so many at a time, one mailbox at a time on each, and begun anew when they break.

Whatever is asked for in one trip can be done again: a trip whose connection breaks is simply made again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from quell_email.imap.client import Client, Pace, UnsupportedError
from quell_email.imap.settings import ImapServer
from quell_email.threads import finished
from quell_executor.effect import RefusedError

log = structlog.get_logger()
T = TypeVar("T")
PATIENCE_S = 10.0
"""For how long a server that went away is tried again, before what was asked is refused."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 1.0
TRIES = 3
"""How often a trip is made that the server answers with an error: its user renames folders meanwhile."""
BREAKS = (OSError, EOFError, IMAPClientAbortError)
REJECTED = ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED")


class Connections:
    """What trips are made on."""

    def __init__(self, server: ImapServer, patience_s: float = PATIENCE_S) -> None:
        """Connect to nothing yet."""
        self._server = server
        self._patience_s = patience_s
        self._pace = Pace(server.commands_per_second)
        self._threads = ThreadPoolExecutor(server.max_connections, thread_name_prefix="imap")
        self._turns = asyncio.Semaphore(server.max_connections)
        self._order: dict[str, asyncio.Lock] = {}
        self._idle: OrderedDict[str, Client] = OrderedDict()
        self._busy = 0

    async def trip(self, mailbox: str, work: Callable[[Client], T]) -> T:
        """Do some work on a mailbox, after whatever was asked of it before.

        Raises:
            RefusedError: The server is away, does not let us in, or does not do it. It can be asked for again.

        """
        async with self._order.setdefault(mailbox, asyncio.Lock()), self._turns:
            wait, waited, failures = FIRST_WAIT_S, 0.0, 0
            while True:
                try:
                    return await self._once(mailbox, work)
                except LoginError as error:
                    if any(code in str(error) for code in REJECTED):
                        message = "the server does not let the master user into this mailbox"
                        raise RefusedError("BACKEND_LOGIN_REFUSED", message, retryable=True) from None
                except BREAKS as error:
                    log.warning("imap_broke", error=type(error).__name__)
                except IMAPClientError as error:
                    failures += 1
                    log.warning("imap_refused", error=str(error)[:200])
                    if failures == TRIES:
                        message = "the mail server does not do what it is asked: see the log"
                        raise RefusedError("BACKEND_FAILED", message, retryable=True) from None
                if waited >= self._patience_s:
                    raise RefusedError("BACKEND_AWAY", "the mail server does not answer", retryable=True)
                await asyncio.sleep(wait)
                waited += wait
                wait = min(2 * wait, LONGEST_WAIT_S)

    async def close(self) -> None:
        """Hang up, once what is under way has come to its end."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._idle:
            _, client = self._idle.popitem()
            await asyncio.to_thread(client.close)

    async def _once(self, mailbox: str, work: Callable[[Client], T]) -> T:
        known = self._idle.pop(mailbox, None)
        self._busy += 1

        def there() -> T:
            client = known or self._client(mailbox)
            try:
                result = work(client)
            except BaseException:
                client.close()
                raise
            self._idle[mailbox] = client
            return result

        try:
            if len(self._idle) + self._busy > self._server.max_connections:
                _, longest = self._idle.popitem(last=False)
                await finished(longest.close, self._threads)
            return await finished(there, self._threads)
        finally:
            self._busy -= 1

    def _client(self, mailbox: str) -> Client:
        try:
            return Client(self._server, mailbox, self._pace)
        except UnsupportedError as error:
            message = f"the mail server lacks {error}"
            raise RefusedError("BACKEND_UNSUPPORTED", message) from None
