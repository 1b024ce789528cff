"""The filter as a server: connections of mail servers on this machine, as many as are allowed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from quell_email.milter.session import Filter, RefusedOfferError, Session
from quell_runtime.addresses import Address
from quell_runtime.errors import PortTakenError

log = structlog.get_logger()
CONNECTIONS = 100
"""As many as Postfix has SMTP servers, unless told otherwise."""


@asynccontextmanager
async def serving(filtered: Filter, listen: Address, *, connections: int = CONNECTIONS) -> AsyncIterator[int]:
    """Serve mail servers while inside; gives the port.

    Raises:
        PortTakenError: Somebody else listens there.

    """
    open_now: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[asyncio.current_task()] = writer
        try:
            if len(open_now) > connections:
                log.warning("too_many_mail_servers", connections=connections)
                return
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await Session(reader, writer, filtered).run()
        except (RefusedOfferError, ValueError, IndexError) as error:
            log.warning("mail_server_misunderstood", problem=str(error))
        except ConnectionError:
            pass
        finally:
            del open_now[asyncio.current_task()]
            writer.close()

    try:
        server = await asyncio.start_server(accept, listen.host, listen.port)
    except OSError:
        raise PortTakenError(f"{listen} can't be listened on: is it taken, or not this machine's?") from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Cut off, not cancelled: that they end is then nobody's error.
        ending = [task for task in open_now if task]
        for writer in open_now.values():
            writer.transport.abort()
        await asyncio.gather(*ending)
