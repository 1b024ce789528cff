"""From the gateway's name to a channel, on an isolated machine too, where nobody can be asked for a name."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from quell_runtime import addresses, client
from quell_runtime.addresses import Address
from quell_runtime.client import Credentials

RESOLVED_WITHIN = 5.0
REACHED_WITHIN = 10.0
HEARTBEAT_MS = 90_000
"""How often the other end must answer a ping. The gateway takes one a minute; two that are lost are a broken way."""
MOST_HOSTS = 16


class UnreachableError(OSError):
    """None of the gateway's addresses answers."""


async def resolved(gateway: Address) -> list[str]:
    """Return the addresses that a name has now; none if nobody can be asked."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVED_WITHIN):
            found = await loop.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return []
    return list(dict.fromkeys(str(where[0]) for *_, where in found))[:MOST_HOSTS]


@asynccontextmanager
async def dialled(
    gateway: Address, hosts: Sequence[str], credentials: Credentials, heartbeat_ms: int = HEARTBEAT_MS
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to the first of the addresses that answers; its certificate must be for the gateway's name.

    Raises:
        UnreachableError: None does.

    """
    for host in hosts:
        family = "ipv6" if ":" in host else "ipv4"
        async with client.channel(
            f"{family}:{Address(host, gateway.port)}", credentials, gateway.host, heartbeat_ms=heartbeat_ms
        ) as channel:
            if await _reached(channel):
                yield channel
                return
    raise UnreachableError("the gateway can't be reached")


async def _reached(channel: grpc.aio.Channel) -> bool:
    try:
        async with asyncio.timeout(REACHED_WITHIN):
            while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                    return False
                await channel.wait_for_state_change(state)
    except TimeoutError:
        return False
    return True


def parse(address: str) -> Address:
    """Read where the gateway is."""
    return addresses.parse(address)
