"""What UrlService lists: entries with their hits, and clicks for those who may see them."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import email_pb2, remediation_pb2

from email_house import LINK_KEY, EmailHouse
from eventually import eventually
from kit_house import IDENTITY, sealed
from quell_runtime.click_links import link
from quell_runtime.client import problem


async def blocked(house: EmailHouse, *patterns: str) -> list[str]:
    """Block patterns, and return the actions."""
    async with house.conversation() as talk:
        orders = [remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=each)) for each in patterns]
        return [(await talk.carry_out(order)).action for order in orders]


async def test_entries_are_listed_with_the_clicks_that_they_stopped(house: EmailHouse) -> None:
    """Filtered, ordered and in pages."""
    actions = await blocked(house, "evil.example", "https://bad.example/x", "*.worse.example")
    async with httpx.AsyncClient() as client:
        for _ in range(2):
            url = link(f"http://127.0.0.1:{house.click_port}", LINK_KEY, "https://evil.example/a")
            assert (await client.get(url)).status_code == 403
    async with house.channel("ann") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)

        async def hit() -> url_service_pb2.ListBlockedUrlsResponse:
            request = url_service_pb2.ListBlockedUrlsRequest(filter="hit_count > 0")
            found = await stub.ListBlockedUrls(request, timeout=10)
            assert isinstance(found, url_service_pb2.ListBlockedUrlsResponse)
            return found

        found = await eventually(hit, lambda found: found.total_size == 1)
        (entry,) = found.blocked_urls
        assert (entry.pattern, entry.action, entry.hit_count) == ("evil.example", actions[0], 2)
        assert entry.last_hit_time.seconds >= entry.create_time.seconds
        seen, token = [], ""
        while True:
            request = url_service_pb2.ListBlockedUrlsRequest(page_size=2, page_token=token, order_by="pattern asc")
            page = await stub.ListBlockedUrls(request, timeout=10)
            seen += [each.pattern for each in page.blocked_urls]
            assert page.total_size == 3
            if not (token := page.next_page_token):
                break
        assert seen == ["*.worse.example", "bad.example/x", "evil.example"]


async def test_clicks_are_listed_only_if_they_are_kept(house: EmailHouse) -> None:
    """Unless told so the service keeps none; told so, it tells all but who it was."""
    await blocked(house, "evil.example")
    urls = ["https://evil.example/a", "https://good.example/b", "javascript:x"]

    async def clicked() -> None:
        async with httpx.AsyncClient() as client:
            for url in urls:
                await client.get(link(f"http://127.0.0.1:{house.click_port}", LINK_KEY, url))

    async def listed(wanted: str = "") -> list[url_service_pb2.Click]:
        async with house.channel("bob") as channel:
            request = url_service_pb2.ListClicksRequest(filter=wanted)
            return list((await url_service_pb2_grpc.UrlServiceStub(channel).ListClicks(request, timeout=10)).clicks)

    await clicked()
    assert await listed() == []
    house.config.write_text(house.config.read_text().replace("[click]", '[click]\nkeep = "hashed"'))
    house.process.terminate()
    await asyncio.wait_for(house.process.communicate(), 30)
    await house.start()
    await clicked()
    found = await eventually(listed, lambda found: len(found) == 3)
    assert [url_service_pb2.UrlAnswer.Name(each.answer) for each in reversed(found)] == [
        "URL_ANSWER_BLOCKED",
        "URL_ANSWER_ALLOWED",
        "URL_ANSWER_INVALID",
    ]
    (stopped,) = await listed("answer = BLOCKED")
    assert (stopped.url, stopped.pattern, stopped.recipient) == ("evil.example/a", "evil.example", "")


async def test_a_block_for_a_time_ends_by_itself(house: EmailHouse) -> None:
    """On the warrant's own authority: nobody is asked; the control is the entry beside it, which stays."""
    await blocked(house, "bad.example")
    urls = [f"https://{host}.example/" for host in ("evil", "bad")]
    links = [link(f"http://127.0.0.1:{house.click_port}", LINK_KEY, url) for url in urls]

    async def codes() -> list[int]:
        async with httpx.AsyncClient() as client:
            return [(await client.get(each)).status_code for each in links]

    async with house.conversation() as talk:
        order = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="evil.example"))
        times = {"expires": timedelta(seconds=4), "reverts": timedelta(seconds=5)}
        warrant = talk.center.warrant(order, target_key=b"", executor_key=IDENTITY.key_id, **times)
        await talk.say(warrants=executor_service_pb2.Warrants(warrants=[sealed(warrant)]))
        await talk.receipt(warrant)
        assert await codes() == [403, 403]
    assert await eventually(codes, lambda found: found == [302, 403], within=30) == [302, 403]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"filter": "host = x"}, "FILTER_INVALID"),
        ({"order_by": "hit_count"}, "ORDER_INVALID"),
        ({"page_token": "x"}, "PAGE_TOKEN_INVALID"),
    ],
)
async def test_a_wrong_list_has_its_reason(house: EmailHouse, fields: dict[str, Any], reason: str) -> None:
    """As the contract says, of entries and of clicks."""
    async with house.channel("ann") as channel:
        stub = url_service_pb2_grpc.UrlServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.ListBlockedUrls(url_service_pb2.ListBlockedUrlsRequest(**fields), timeout=10)
        assert (refusal.value.code(), problem(refusal.value).reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.ListClicks(url_service_pb2.ListClicksRequest(**fields), timeout=10)
        assert (refusal.value.code(), problem(refusal.value).reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


@pytest.mark.parametrize("who", ["carol", "clicks", "xdr"])
async def test_who_clicked_is_not_for_everybody(house: EmailHouse, who: str) -> None:
    """It takes who works on cases: neither an administrator nor a program."""
    async with house.channel(who) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await url_service_pb2_grpc.UrlServiceStub(channel).ListClicks(
                url_service_pb2.ListClicksRequest(), timeout=10
            )
        assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED
