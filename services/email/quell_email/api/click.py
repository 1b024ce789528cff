"""The click endpoint: a signed link leads on, or to a warning. A GET decides nothing; it only is counted."""

import asyncio
import html
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import structlog
import uvicorn
from prometheus_client import Counter
from quell.email.v1 import url_service_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from quell_email.api.checking import check
from quell_email.api.connections import ASK_S, Bounded
from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import parsed
from quell_email.store.clicks import Clicks
from quell_email.store.urls import UrlTable
from quell_runtime.addresses import Address
from quell_runtime.click_links import PATH, opened
from quell_runtime.errors import PortTakenError

log = structlog.get_logger()
UNCHECKED = Counter("quell_unchecked_clicks", "Clicks on which the check failed, by what came of them", ["led_on"])
CONNECTIONS = 1000
"""As many are served at once as are open; more are told to come again."""
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers clicks. `key` signs the links; `fails_open`: where the check fails, who clicked is led on."""

    urls: UrlTable
    clicks: Clicks
    key: bytes
    fails_open: bool = False

    def app(self) -> Starlette:
        """Return the application."""
        handlers = {500: _broken}
        route = Route(PATH + "{token:str}", self._click, methods=["GET"])
        return Starlette(routes=[route], exception_handlers=handlers)

    async def _click(self, request: Request) -> Response:
        link = opened(self.key, request.path_params["token"])
        if link is None:
            return _page(404, "Unknown link", "This link was not made here, or it is not complete.", "")
        try:
            found = check(self.urls, link.url)
        except Exception:
            log.exception("click_not_checked", led_on=self.fails_open)
            UNCHECKED.labels(str(self.fails_open).lower()).inc()
            return _led_on(link.url) if self.fails_open else _unchecked()
        self.clicks.note(found, link.who)
        if found.answer == url_service_pb2.URL_ANSWER_ALLOWED:
            return _led_on(link.url)
        if found.answer == url_service_pb2.URL_ANSWER_BLOCKED:
            return _page(403, "This link is blocked", "It was found to be dangerous. Do not go there:", link.url)
        return _page(403, "This link leads nowhere", "It is no address of the web.", link.url)


class _Quiet(uvicorn.Server):
    """A server that leaves signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    endpoint: Endpoint, listen: Address, *, connections: int = CONNECTIONS, ask_s: float = ASK_S
) -> AsyncIterator[int]:
    """Serve clicks on an address while inside; gives the port. `ask_s`: how long a connection may take to ask.

    Raises:
        PortTakenError: Somebody else listens there.

    """
    config = uvicorn.Config(
        endpoint.app(),
        http=cast("type[Bounded]", partial(Bounded, ask_s=ask_s)),
        limit_concurrency=connections,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
    )
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


async def _broken(_request: Request, error: Exception) -> Response:
    log.error("click_failed", exc_info=error)
    return _unchecked()


def _unchecked() -> Response:
    return _page(503, "This link can't be checked now", "Try again later.", "")


def _led_on(url: str) -> Response:
    """Lead to what was parsed, not what was written: nobody reads it differently afterwards."""
    try:
        return RedirectResponse(parsed(url).href, 302, _HEADERS)
    except UrlInvalidError:
        return _page(403, "This link leads nowhere", "It is no address of the web.", url)


def _page(status: int, title: str, text: str, url: str) -> Response:
    return HTMLResponse(_PAGE.format(title=title, text=text, url=html.escape(url)), status, _HEADERS)
