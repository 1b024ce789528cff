"""A blocked URL is refused at the click, at once and after a restart, until it is let through again."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from quell.email.v1 import url_service_pb2
from quell.remediation.v1 import email_pb2, item_pb2

from effect_runs import ACTION, DONE, PLANNED, do, undo
from quell_email.api import click
from quell_email.api.checking import check
from quell_email.effects.block_url import BlockUrl
from quell_email.effects.unblock_url import UnblockUrl
from quell_email.store.clicks import Clicks, Keeping
from quell_email.store.urls import MIGRATIONS, UrlTable
from quell_executor.effect import Owned, RefusedError
from quell_runtime.addresses import Address
from quell_runtime.click_links import link
from quell_runtime.errors import PortTakenError
from quell_runtime.seams import SystemClock
from quell_runtime.store.opening import opened

KEY = b"0123456789abcdef0123456789abcdef"
LOCAL = Address("127.0.0.1", 0)
EVIL = "https://evil.example/login?u=1"
ALLOWED = url_service_pb2.URL_ANSWER_ALLOWED
BLOCKED = url_service_pb2.URL_ANSWER_BLOCKED


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[UrlTable]:
    """Open a table on disk."""
    async with opened(tmp_path, MIGRATIONS, name="urls") as store:
        yield await UrlTable.load(store, SystemClock())


async def nobody() -> tuple[str, ...]:
    """Have no mailboxes."""
    return ()


def endpoint(urls: UrlTable) -> click.Endpoint:
    """Return what answers clicks."""
    return click.Endpoint(urls, Clicks(urls.store, SystemClock(), Keeping(), nobody), KEY)


async def clicked(urls: UrlTable, url: str, key: bytes = KEY) -> httpx.Response:
    """Follow a signed link over HTTP, without following where it leads."""
    async with click.serving(endpoint(urls), LOCAL) as port, httpx.AsyncClient() as client:
        return await client.get(link(f"http://127.0.0.1:{port}", key, url))


async def test_a_block_counts_at_once_and_undo_lets_through_again(urls: UrlTable) -> None:
    """Before, during and after: the click, the check, and the probe say the same."""
    effect = BlockUrl(urls)
    assert (await clicked(urls, EVIL)).status_code == 302
    run = await do(effect, email_pb2.BlockUrl(pattern="EVIL.example./%6cogin"))
    assert (run.before, run.after) == ([PLANNED], [DONE])
    assert [item.key for item in run.plan.items] == ["email.url:evil.example/login"] == list(run.plan.names)
    refused = await clicked(urls, EVIL)
    assert refused.status_code == 403
    assert "location" not in refused.headers
    found = check(urls, EVIL)
    assert (found.answer, found.pattern, found.action) == (BLOCKED, "evil.example/login", f"actions/{ACTION}")
    assert check(urls, f"https://google.com/url?q={EVIL}").answer == BLOCKED
    again = await do(effect, email_pb2.BlockUrl(pattern="https://evil.example/login"))
    assert again.before == [DONE]
    assert (await undo(effect, run.plan)).after == [DONE]
    assert (await undo(effect, run.plan)).before == [DONE]
    assert check(urls, EVIL).answer == ALLOWED
    assert (await clicked(urls, EVIL)).headers["location"] == EVIL


async def test_control_a_plan_alone_blocks_nothing(urls: UrlTable) -> None:
    """With the effect off, the check of the test above fails."""
    plan = await BlockUrl(urls).plan(email_pb2.BlockUrl(pattern="evil.example"), None)
    assert [finding.state for finding in await BlockUrl(urls).probe(plan)] == [PLANNED]
    with pytest.raises(AssertionError):
        assert (await clicked(urls, EVIL)).status_code == 403


async def test_a_block_outlives_a_restart(tmp_path: Path) -> None:
    """What was committed is blocked by the next process, too."""
    for expected in (ALLOWED, BLOCKED):
        async with opened(tmp_path, MIGRATIONS, name="urls") as store:
            urls = await UrlTable.load(store, SystemClock())
            assert check(urls, EVIL).answer == expected
            await do(BlockUrl(urls), email_pb2.BlockUrl(pattern="*.evil.example/login"))
            await do(BlockUrl(urls), email_pb2.BlockUrl(pattern="evil.example"))


async def test_a_public_suffix_is_refused(urls: UrlTable) -> None:
    """Nothing is blocked."""
    with pytest.raises(RefusedError, match="PATTERN_INVALID"):
        await BlockUrl(urls).plan(email_pb2.BlockUrl(pattern="*.co.uk"), None)


def test_unblock_chooses_the_pattern_however_it_is_spelt() -> None:
    """It takes back that pattern, and not one that only contains it."""
    release, order = UnblockUrl(), email_pb2.UnblockUrl(pattern="http://EVIL.example/%6cogin")
    mine = Owned(ACTION, "email.url:evil.example/login", item_pb2.Item())
    assert release.names(order) == {mine.key}
    assert release.chooses(order, mine)
    assert not release.chooses(order, Owned(ACTION, "email.url:evil.example", item_pb2.Item()))


@pytest.mark.parametrize("token", ["x", "x.y", "", ".", "aHR0cHM6Ly9ldmlsLmV4YW1wbGU.AAAA", "%00.%ff", "é.é"])
async def test_a_link_that_we_did_not_sign_leads_nowhere(urls: UrlTable, token: str) -> None:
    """It is no open redirector."""
    async with click.serving(endpoint(urls), LOCAL) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/c/1/{token}")
        assert answer.status_code == 404
        assert "location" not in answer.headers
        for method in ("POST", "PUT", "DELETE"):
            assert (await client.request(method, f"http://127.0.0.1:{port}/c/1/{token}")).status_code in (404, 405)
    assert (await clicked(urls, EVIL, key=b"another key of thirty-two bytes.")).status_code == 404


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "/c/1/x", "http://a b/"])
async def test_a_signed_link_to_no_web_address_fails_closed(urls: UrlTable, url: str) -> None:
    """Even what we signed is looked at."""
    answer = await clicked(urls, url)
    assert answer.status_code == 403
    assert "location" not in answer.headers


async def test_the_warning_shows_the_url_and_runs_nothing(urls: UrlTable) -> None:
    """Markup in a URL is text on the page, and nothing may be loaded."""
    await do(BlockUrl(urls), email_pb2.BlockUrl(pattern="evil.example"))
    answer = await clicked(urls, "https://evil.example/?<script>alert(1)</script>&'\"")
    assert answer.status_code == 403
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_redirect_carries_no_second_header(urls: UrlTable) -> None:
    """Line breaks in a URL do not reach the answer."""
    answer = await clicked(urls, "https://good.example/a\r\nSet-Cookie: x=1")
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://good.example/aSet-Cookie:%20x=1"
    assert "set-cookie" not in answer.headers


async def test_a_taken_port_is_said_to_be_taken(urls: UrlTable) -> None:
    """Not a stack trace."""
    async with click.serving(endpoint(urls), LOCAL) as port:
        with pytest.raises(PortTakenError):
            async with click.serving(endpoint(urls), Address("127.0.0.1", port)):
                pass
