"""What is kept of clicks is what was asked for and no more; the endpoint holds against those who only hold it up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from quell.remediation.v1 import email_pb2

from effect_runs import do, undo
from eventually import eventually
from kit_house import FakeClock
from quell_email.api import click
from quell_email.domain.urls import CanonicalUrl
from quell_email.effects.block_url import BlockUrl
from quell_email.store.clicks import CLICKS, Answer, Clicks, Keep, Keeping
from quell_email.store.urls import BLOCKED, MIGRATIONS, UrlTable
from quell_runtime.addresses import Address
from quell_runtime.click_links import link, pseudonym
from quell_runtime.store.opening import opened

KEY = b"0123456789abcdef0123456789abcdef"
LOCAL = Address("127.0.0.1", 0)
EVIL, GOOD = "https://evil.example/login", "https://good.example/?q=1"
ANN = "ann@example.org"


@pytest.fixture
def clock() -> FakeClock:
    """Have a time that only the test moves."""
    return FakeClock()


@pytest.fixture
async def urls(tmp_path: Path, clock: FakeClock) -> AsyncIterator[UrlTable]:
    """Open a table on disk where one host is blocked."""
    async with opened(tmp_path, MIGRATIONS, name="urls") as store:
        urls = await UrlTable.load(store, clock)
        await do(BlockUrl(urls), email_pb2.BlockUrl(pattern="evil.example"))
        yield urls


async def mailboxes() -> tuple[str, ...]:
    """Have one mailbox."""
    return (ANN,)


def kept(urls: UrlTable, keep: Keep) -> Clicks:
    """Keep so much."""
    return Clicks(urls.store, urls.clock, Keeping(keep, 30, KEY), mailboxes)


async def answers(endpoint: click.Endpoint, *tokens: str) -> list[int]:
    """Follow links, and return the codes that came."""
    async with click.serving(endpoint, LOCAL) as port, httpx.AsyncClient() as client:
        return [(await client.get(f"http://127.0.0.1:{port}{token}")).status_code for token in tokens]


@pytest.mark.parametrize(
    ("keep", "hits", "recipients"),
    [
        (Keep.OFF, 0, []),
        (Keep.COUNTS, 2, []),
        (Keep.HASHED, 2, [pseudonym(KEY, ANN).hex(), pseudonym(KEY, "alias@example.org").hex(), ""]),
        (Keep.FULL, 2, [ANN, pseudonym(KEY, "alias@example.org").hex(), ""]),
    ],
)
async def test_as_much_is_kept_as_is_wanted(urls: UrlTable, keep: Keep, hits: int, recipients: list[str]) -> None:
    """Hits for each entry; each click, with a pseudonym or an address, only where that was asked for."""
    clicks = kept(urls, keep)
    tokens = [
        link("", KEY, EVIL, pseudonym(KEY, "ANN@example.org")),
        link("", KEY, EVIL, pseudonym(KEY, "alias@example.org")),
        link("", KEY, GOOD),
        "/c/1/forged.token",
    ]
    assert await answers(click.Endpoint(urls, clicks, KEY), *tokens) == [403, 403, 302, 404]
    await clicks.flush()
    (entry,) = await urls.store.select(BLOCKED)
    assert (entry.hit_count, entry.last_hit_time) == (hits, urls.clock.now() if hits else None)
    found = await urls.store.select(CLICKS, "ORDER BY id")
    assert [each.recipient for each in found] == recipients
    if found:
        assert [each.answer for each in found] == [Answer.BLOCKED, Answer.BLOCKED, Answer.ALLOWED]
        assert [each.url for each in found] == ["evil.example/login", "evil.example/login", "good.example/?q=1"]


async def test_hits_end_with_their_entry(urls: UrlTable) -> None:
    """Blocked anew, an entry begins at nought; a hit on what was unblocked meanwhile is no error."""
    clicks = kept(urls, Keep.COUNTS)
    await answers(click.Endpoint(urls, clicks, KEY), link("", KEY, EVIL))
    run = await do(BlockUrl(urls), email_pb2.BlockUrl(pattern="evil.example"))
    await undo(BlockUrl(urls), run.plan)
    await clicks.flush()
    assert await urls.store.select(BLOCKED) == []


async def test_clicks_are_deleted_when_their_time_is_over(urls: UrlTable, clock: FakeClock) -> None:
    """And none before it."""
    clicks = kept(urls, Keep.HASHED)
    for _ in range(2):
        await answers(click.Endpoint(urls, clicks, KEY), link("", KEY, GOOD))
        await clicks.flush()
        clock.wall += timedelta(days=20)
    await clicks.purge()
    (left,) = await urls.store.select(CLICKS)
    assert left.click_time == clock.now() - timedelta(days=20)


class Broken(UrlTable):
    """A table whose look fails."""

    def match(self, layers: Sequence[CanonicalUrl]) -> tuple[str, str] | None:
        """Fail."""
        raise RuntimeError(f"as if it were damaged at {layers}")


@pytest.mark.parametrize("code", [503, 302])
async def test_where_the_check_fails_it_is_as_configured(urls: UrlTable, code: int) -> None:
    """Nobody is led on, or everybody is; to no address of the web never."""
    broken = Broken(urls.store, urls.clock, urls.blocklist, urls.actions)
    endpoint = click.Endpoint(broken, kept(urls, Keep.OFF), KEY, fails_open=code == 302)
    assert await answers(endpoint, link("", KEY, GOOD), "/c/1/x.y") == [code, 404]
    assert await answers(endpoint, link("", KEY, "javascript:alert(1)")) == [403]


async def test_who_only_holds_a_connection_is_cut_off(urls: UrlTable) -> None:
    """Half a request holds one for its time and no longer; others are told to come again, and then served."""
    endpoint = click.Endpoint(urls, kept(urls, Keep.OFF), KEY)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(click.serving(endpoint, LOCAL, connections=4, ask_s=0.5))
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        for _, writer in held:
            stack.callback(writer.close)
            writer.write(b"GET /c/1/x HTTP/1.1\r\nHost: x\r\n")
        client = await stack.enter_async_context(httpx.AsyncClient())

        async def served() -> int:
            return (await client.get(f"http://127.0.0.1:{port}{link('', KEY, EVIL)}")).status_code

        assert await served() == 503
        assert await eventually(served, lambda code: code == 403) == 403
        for reader, _ in held:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_a_flood_is_counted_and_kept_within_bounds(urls: UrlTable) -> None:
    """Clicks that come faster than they are written are answered all the same."""
    clicks = Clicks(urls.store, urls.clock, Keeping(waiting=3), mailboxes)
    assert await answers(click.Endpoint(urls, clicks, KEY), *[link("", KEY, EVIL)] * 5) == [403] * 5
    await clicks.flush()
    (entry,) = await urls.store.select(BLOCKED)
    assert entry.hit_count == 3
