"""Links: clicks, checks of URLs by stream, and mail that is filtered at delivery, each beside its limit."""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import psutil
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc

from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.deployment import Folder, Ports
from quell_email.api.checking import check
from quell_email.milter import mark
from quell_email.milter.filtering import Filter, Rules
from quell_email.milter.serving import serving
from quell_email.parsing.parser import Parser
from quell_email.store.urls import MIGRATIONS, UrlTable
from quell_runtime.addresses import Address
from quell_runtime.click_links import link
from quell_runtime.seams import SystemClock
from quell_runtime.store.opening import migrate, opened

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from postfix_lab import Postfix, postfix

PORTS = Ports(27543)
BARE = (27560, 27561)
ENTRIES = 100_000
SERVED = 2000
"""Entries of the service that is called: it adopts, one by one, those that its journal does not know."""
URL = "https://www.example.com/some/path?x=1&y=2"
KEY = b"0123456789abcdef0123456789abcdef"
BASE = "https://click.example.org"
CONNECTIONS = 4
IDLE_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Clicks:
    """Seconds that clicks took, sorted."""

    seconds: list[float]

    @property
    def p99_ms(self) -> float:
        """Return what 99 of 100 take at most."""
        return 1000 * self.seconds[int(len(self.seconds) * 0.99)]

    @property
    def p50_ms(self) -> float:
        """Return what half of them take at most."""
        return 1000 * self.seconds[len(self.seconds) // 2]


async def measure(line: Callable[..., None], scale: int) -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(Path(root) / "quell")
        deployment.make(folder, PORTS)
        _fill(folder.root / "email" / "urls", SERVED)
        async with _process("-m", "quell_email", "--config", folder.config("email")) as service:
            await _settled(service)
            pki = [folder.key("email"), folder.certificate("email"), folder.certificate("deployment-ca")]
            async with _process(Path(__file__).parent / "bare_urls.py", *map(str, BARE), *pki):
                await _clicks(line, folder, 4000 // scale)
                await _checks(line, folder, 60_000 // scale)
    await _mail(line, 400 // scale)


async def _clicks(line: Callable[..., None], folder: Folder, count: int) -> None:
    key = (folder.root / "keys" / "link.key").read_bytes()
    await _clicked(PORTS.base + 5, link("", key, URL), 200)
    ours, limit = await _clicked(PORTS.base + 5, link("", key, URL), count), await _clicked(BARE[1], "/c/1/x", count)
    line(
        f"click among {SERVED:,} entries, p50 / p99",
        f"{ours.p50_ms:.2f} / {ours.p99_ms:.2f} ms",
        f"{limit.p50_ms:.2f} / {limit.p99_ms:.2f} ms",
        f"{limit.p99_ms / ours.p99_ms:.2f}",
    )


async def _checks(line: Callable[..., None], folder: Folder, count: int) -> None:
    connection = Connection.of(folder.config("client"), "ann")
    try:
        ours = await _checked(connection.stub("email", url_service_pb2_grpc.UrlServiceStub), count)
    finally:
        await connection.__aexit__(None, None, None)
    client = folder.config("client")
    text = client.read_text(encoding="utf-8").replace(PORTS.at("email"), f"127.0.0.1:{BARE[0]}")
    client.write_text(text, encoding="utf-8")
    connection = Connection.of(client, "ann")
    try:
        limit = await _checked(connection.stub("email", url_service_pb2_grpc.UrlServiceStub), count)
    finally:
        await connection.__aexit__(None, None, None)
    alone = await _alone(folder, count)
    line(f"CheckUrl by stream, {SERVED:,} entries", f"{ours:.0f}/s", f"{limit:.0f}/s", f"{ours / limit:.2f}")
    line(f"the check alone, {ENTRIES:,} entries, one core", f"{alone:.0f}/s", "aim >= 20,000/s")


async def _mail(line: Callable[..., None], count: int) -> None:
    """Say how fast Postfix takes mail with the filter, without, and with one that does nothing."""
    async with postfix("") as server:
        bare = await _delivered(server, count, marked=False)
    parsers = [Parser(), Parser()]
    try:
        filtered = Filter(Rules(BASE, KEY), lambda _: "", parsers)
        async with serving(filtered, Address("127.0.0.1", 0)) as port, postfix(f"inet:127.0.0.1:{port}") as server:
            await _delivered(server, 4, marked=True)
            ours = await _delivered(server, count, marked=True)
    finally:
        for parser in parsers:
            parser.close()
    what = f"mail with 10 links through Postfix, {CONNECTIONS} connections"
    line(what, f"{ours:.0f}/s filtered", f"{bare:.0f}/s without", f"{ours / bare:.2f}")


def _fill(path: Path, count: int) -> None:
    """Have so many entries, of every form."""
    path.mkdir(parents=True, exist_ok=True)
    migrate(path / "urls.db", MIGRATIONS)
    forms = ("h{}.example.net", "*.w{}.example.net", "p{}.example.net/a/b", "x{}.example.net/a*")
    rows = [(forms[number % 4].format(number), "bench", 0) for number in range(count)]
    with sqlite3.connect(path / "urls.db") as database:
        database.executemany("INSERT INTO blocked_urls (pattern, action, create_time) VALUES (?, ?, ?)", rows)
    database.close()


@asynccontextmanager
async def _process(*command: object) -> AsyncIterator[int]:
    """Have a process of ours running that says when it is ready; gives its id."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(sys.executable, *map(str, command), stdin=pipe, stdout=pipe)
    assert running.stdout  # noqa: S101 - asked for
    try:
        async with asyncio.timeout(60):
            await running.stdout.readuntil(b"ready\n")
        yield running.pid
    finally:
        running.kill()
        await running.communicate()


async def _settled(process: int) -> None:
    """Wait until a process has nothing left to do: entries that no order of its journal made are adopted at first."""
    watched = psutil.Process(process)
    watched.cpu_percent()
    async with asyncio.timeout(60):
        await asyncio.sleep(2)
        while watched.cpu_percent() > IDLE_PERCENT:  # noqa: ASYNC110 - another process is looked at
            await asyncio.sleep(2)


async def _clicked(port: int, path: str, count: int) -> Clicks:
    """Click so often over some connections that stay."""
    request = f"GET {path} HTTP/1.1\r\nHost: click.example.org\r\n\r\n".encode()
    seconds: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // CONNECTIONS):
            begin = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            seconds.append(time.perf_counter() - begin)
            assert head.startswith(b"HTTP/1.1 302"), head  # noqa: S101 - or it is no click that was measured
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return Clicks(sorted(seconds))


async def _checked(stub: "url_service_pb2_grpc.UrlServiceAsyncStub", count: int) -> float:
    """Return checks a second."""
    asked = [
        url_service_pb2.StreamCheckUrlsRequest(url=f"https://www{each % 997}.example.com/p?x={each}")
        for each in range(count)
    ]

    def requests() -> Iterator[url_service_pb2.StreamCheckUrlsRequest]:
        yield from asked

    begin = time.perf_counter()
    answered = 0
    async for _ in stub.StreamCheckUrls(requests()):
        answered += 1
    assert answered == count  # noqa: S101 - or the figure says nothing
    return count / (time.perf_counter() - begin)


async def _alone(folder: Folder, count: int) -> float:
    """Return checks a second without a call around them."""
    path = folder.root / "alone"
    _fill(path, ENTRIES)
    async with opened(path, MIGRATIONS, name="urls") as store:
        urls = await UrlTable.load(store, SystemClock())
        begin = time.process_time()
        for each in range(count):
            check(urls, f"https://www{each % 997}.example.com/p?x={each}")
        return count / (time.process_time() - begin)


async def _delivered(server: Postfix, count: int, *, marked: bool) -> float:
    """Return messages a second until all are in their mailbox; each was looked at for its mark."""
    before = len(server.mails("ann"))
    raw = _message()
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(asyncio.to_thread(server.send_many, raw, count // CONNECTIONS))
    while server.count("ann") < before + count // CONNECTIONS * CONNECTIONS:  # noqa: ASYNC110 - a folder is looked at
        await asyncio.sleep(0.01)
    took = time.perf_counter() - begin
    done = {mark.read(KEY, mail) for mail in server.mails("ann")}
    assert done == ({"done; links=20"} if marked else {None}), done  # noqa: S101 - a filter that is down looks fast
    return count / took


def _message() -> bytes:
    """Return an ordinary newsletter."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "sender@outside.test", "ann@corp.test", "News"
    urls = [f"https://news.example.com/story/{number}?id={number * 7919}" for number in range(10)]
    filler = "Some words that stand between one link and the next, as they do. " * 12
    made.set_content("\n".join(f"{filler}\n{url}" for url in urls))
    html = "".join(f'<p>{filler}<a href="{url}">more</a></p>' for url in urls)
    made.add_alternative(f"<html><body>{html}</body></html>", subtype="html")
    return made.as_bytes().replace(b"\n", b"\r\n")
