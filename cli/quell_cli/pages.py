"""Lists to their end, page by page."""

from collections.abc import Awaitable, Callable
from typing import Any

import click
from google.protobuf.message import Message

from quell_cli.session import TIMEOUT

PAGE = 1000
EVERYTHING = 1 << 62


async def pages(
    call: Callable[..., Awaitable[Any]], request: Message, field: str, limit: int = EVERYTHING
) -> list[Any]:
    """Return what a list holds, at most `limit`; say so if there is more. `field` is the answer's repeated field."""
    asked: Any = type(request)()
    asked.CopyFrom(request)
    found: list[Any] = []
    while True:
        asked.page_size = min(PAGE, limit - len(found))
        answer = await call(asked, timeout=TIMEOUT)
        found += getattr(answer, field)
        if not answer.next_page_token:
            return found
        if len(found) >= limit:
            click.echo(f"these are the first {limit}: --limit shows more", err=True)
            return found
        asked.page_token = answer.next_page_token
