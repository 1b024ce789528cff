"""The click endpoint: a signed link leads on, or to a warning. A GET decides nothing and changes nothing."""

import asyncio
import html
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from quell.email.v1 import url_service_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from quell_email.api.checking import check
from quell_email.domain.urls import parsed
from quell_email.store.urls import UrlTable
from quell_runtime.addresses import Address
from quell_runtime.click_links import PATH, opened
from quell_runtime.errors import PortTakenError

log = structlog.get_logger()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:1.1rem/1.5 sans-serif;max-width:38rem;margin:4rem auto}}code{{word-break:break-all}}</style>
</head><body><h1>{title}</h1><p>{text}</p><p><code>{url}</code></p></body></html>
"""


def app(urls: UrlTable, key: bytes) -> Starlette:
    """Return the application. Whatever goes wrong, nobody is led on."""

    async def click(request: Request) -> Response:
        link = opened(key, request.path_params["token"])
        if link is None:
            return _page(404, "Unknown link", "This link was not made here, or it is not complete.", "")
        url = link.url
        answer = check(urls, url).answer
        if answer == url_service_pb2.URL_ANSWER_ALLOWED:
            # What was parsed, not what was written: nobody reads it differently afterwards.
            return RedirectResponse(parsed(url).href, 302, _HEADERS)
        if answer == url_service_pb2.URL_ANSWER_BLOCKED:
            return _page(403, "This link is blocked", "It was found to be dangerous. Do not go there:", url)
        return _page(403, "This link leads nowhere", "It is no address of the web.", url)

    async def broken(_request: Request, error: Exception) -> Response:
        log.error("click_failed", exc_info=error)
        return _page(503, "This link can't be checked now", "Try again later.", "")

    return Starlette(routes=[Route(PATH + "{token:str}", click, methods=["GET"])], exception_handlers={500: broken})


class _Quiet(uvicorn.Server):
    """A server that leaves signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(urls: UrlTable, key: bytes, listen: Address) -> AsyncIterator[int]:
    """Serve clicks on an address while inside; gives the port.

    Raises:
        PortTakenError: Somebody else listens there.

    """
    config = uvicorn.Config(app(urls, key), log_config=None, access_log=False, server_header=False, lifespan="off")
    server = _Quiet(config)
    with _bound(listen) as bound:
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def _bound(listen: Address) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        return socket.create_server((listen.host, listen.port), family=family)
    except OSError:
        raise PortTakenError(f"{listen} can't be listened on: is it taken, or not this machine's?") from None


def _page(status: int, title: str, text: str, url: str) -> Response:
    return HTMLResponse(_PAGE.format(title=title, text=text, url=html.escape(url)), status, _HEADERS)
