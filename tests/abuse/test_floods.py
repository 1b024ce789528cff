"""Floods by a caller with a good certificate: others are served meanwhile, and everybody afterwards.

The attacks are short; what they would do to a server without its limits is written in the threat model.
"""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress

import grpc
import pytest
from grpc import StatusCode
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

import http2
from deployment import Deployment
from quell_runtime.server import API
from urls import Urls

PATH = "/quell.email.v1.UrlService/CheckUrl"
ATTACK_S = 1.0
PATIENCE_S = 10.0
ASKED = url_service_pb2.CheckUrlRequest(url="ok")


@pytest.fixture(scope="module")
def port(deployment: Deployment) -> Iterator[int]:
    """Serve with the API's limits, in a loop of its own."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found = 0

    async def serve() -> None:
        nonlocal found
        server = deployment.server("email")
        server.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, Urls())
        await server.start()
        found = server.port
        started.set()
        await stop.wait()
        await server.drain(settle_s=0, grace_s=0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
async def ann(deployment: Deployment, port: int) -> "AsyncIterator[url_service_pb2_grpc.UrlServiceAsyncStub]":
    """Return a good caller that is connected before the attack."""
    async with deployment.channel(port, "ann", "email") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        await stub.CheckUrl(ASKED, timeout=PATIENCE_S)
        yield stub


async def until(end: float, ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> list[float]:
    """Call as a good caller until then, and return how long each call took. Any failure is one."""
    took: list[float] = []
    while (begin := time.monotonic()) < end or not took:
        await ann.CheckUrl(ASKED, timeout=PATIENCE_S)
        took.append(time.monotonic() - begin)
        await asyncio.sleep(0.02)
    return took


async def attacked(ann: "url_service_pb2_grpc.UrlServiceAsyncStub", *attacks: Awaitable[None]) -> None:
    """Serve a good caller while attacks go on, and after."""
    attack = asyncio.gather(*attacks)
    took = await until(time.monotonic() + ATTACK_S, ann)
    await attack
    await ann.CheckUrl(ASKED, timeout=PATIENCE_S)
    assert sorted(took)[len(took) // 2] < 2, f"the median of {len(took)} calls took {sorted(took)[len(took) // 2]} s"


async def for_a_while(send: Callable[[int], Awaitable[None]]) -> None:
    """Send again and again until the time is over or the server has closed the connection."""
    end = time.monotonic() + ATTACK_S
    with suppress(ConnectionError):
        for number in itertools.count():
            await send(number)
            if time.monotonic() > end:
                return


async def test_rapid_reset(deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> None:
    """Streams that are opened and reset at once, without end (CVE-2023-44487)."""
    async with http2.connected(port, deployment.credentials("carol")) as carol:

        async def attack(_number: int) -> None:
            await carol.send(*(frame for _ in range(20) for frame in (carol.headers(PATH), carol.reset())))

        await attacked(ann, for_a_while(attack))


async def test_streams_of_headers_alone(
    deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub"
) -> None:
    """Every stream that a connection may have is opened and left so, on many connections."""
    async with AsyncExitStack() as stack:
        for _ in range(8):
            carol = await stack.enter_async_context(http2.connected(port, deployment.credentials("carol")))
            with suppress(ConnectionError):
                await carol.send(*(carol.headers(PATH) for _ in range(2 * API.streams)))
        await attacked(ann)


async def test_headers_without_end(
    deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub"
) -> None:
    """CONTINUATION after CONTINUATION: the metadata never end."""
    async with http2.connected(port, deployment.credentials("carol")) as carol:
        await carol.send(carol.headers(PATH, end=False))

        async def attack(number: int) -> None:
            await carol.send(carol.more(b"\x00\x08x-filler" + b"\x7f\x01" + str(number).encode().ljust(128, b"x")))

        await attacked(ann, for_a_while(attack))


async def test_pings(deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> None:
    """Whoever pings without end is put out."""
    async with http2.connected(port, deployment.credentials("carol")) as carol:

        async def attack(number: int) -> None:
            await carol.send(*(http2.ping(number) for _ in range(50)))

        await attacked(ann, for_a_while(attack))
        await asyncio.wait_for(carol.put_out.wait(), PATIENCE_S)


async def test_connections(deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> None:
    """More connections than the listener takes: who is in stays in; once they are gone anybody comes in."""
    with_nothing = []
    for _ in range(API.connections + 50):
        with suppress(OSError):
            with_nothing.append(socket.create_connection(("127.0.0.1", port), timeout=1))
    try:
        await attacked(ann)
    finally:
        for each in with_nothing:
            each.close()
    async with deployment.channel(port, "bob", "email") as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        await url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl(ASKED, timeout=PATIENCE_S)


async def refused(deployment: Deployment, port: int, **how: object) -> StatusCode:
    """Return how carol's call ends."""
    async with deployment.channel(port, "carol", "email") as channel:
        call = url_service_pb2_grpc.UrlServiceStub(channel).CheckUrl
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(**{"request": ASKED, "timeout": PATIENCE_S, **how})  # type: ignore[arg-type]
        return refusal.value.code()


async def test_a_gzip_bomb(deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> None:
    """64 MiB of zeros in 64 KiB: the limit holds for what comes out."""
    bomb = url_service_pb2.CheckUrlRequest(url="0" * (64 << 20))
    code = await refused(deployment, port, request=bomb, compression=grpc.Compression.Gzip)
    assert code is StatusCode.RESOURCE_EXHAUSTED
    await ann.CheckUrl(ASKED, timeout=PATIENCE_S)


async def test_giant_metadata(
    deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub"
) -> None:
    """A megabyte of it."""
    code = await refused(deployment, port, metadata=(("x-filler", "x" * (1 << 20)),))
    assert code in {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.INTERNAL}
    await ann.CheckUrl(ASKED, timeout=PATIENCE_S)


async def test_calls_without_a_deadline(
    deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub"
) -> None:
    """A thousand at once are refused one by one, and wait for nothing."""
    async with deployment.channel(port, "carol", "email") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        slow = url_service_pb2.CheckUrlRequest(url="slow")
        calls = [stub.CheckUrl(slow) for _ in range(1000)]
        answers = asyncio.gather(*(call.code() for call in calls))
        await attacked(ann)
        assert set(await answers) <= {StatusCode.INVALID_ARGUMENT}


async def test_many_calls_at_once_are_no_flood(ann: "url_service_pb2_grpc.UrlServiceAsyncStub") -> None:
    """An honest caller with more calls than a connection has streams waits a little, and has every answer."""
    for _ in range(5):
        calls = [ann.CheckUrl(ASKED, timeout=10) for _ in range(4 * API.streams)]
        assert {await call.code() for call in calls} == {StatusCode.OK}


async def test_a_stream_of_tiny_messages(
    deployment: Deployment, port: int, ann: "url_service_pb2_grpc.UrlServiceAsyncStub"
) -> None:
    """One caller that sends as fast as it can does not keep others waiting."""
    async with deployment.channel(port, "carol", "email") as channel:
        stream = url_service_pb2_grpc.UrlServiceStub(channel).StreamCheckUrls()
        reading = asyncio.create_task(drained(aiter(stream)))

        async def attack(_number: int) -> None:
            await stream.write(url_service_pb2.StreamCheckUrlsRequest(url="x"))

        await attacked(ann, for_a_while(attack))
        stream.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def drained(stream: AsyncIterator[object]) -> None:
    """Read all answers."""
    async for _ in stream:
        pass
