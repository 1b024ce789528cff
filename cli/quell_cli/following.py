"""Watching what changes, for as long as it takes: a stream that is cut goes on where it was."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

AGAIN_AFTER = 1.0
TRIES = 30
"""How often in a row nothing may be heard before it is given up: half a minute."""


async def following(watch: Callable[..., Any], request: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - of any watch RPC
    """Yield each answer of a watch RPC. Until something was heard there is one try only."""
    asked = type(request)()
    asked.CopyFrom(request)
    left = 0
    while True:
        try:
            async for answer in watch(asked):
                left = TRIES
                # A watch without one begins anew after a break.
                if "resume_token" in asked.DESCRIPTOR.fields_by_name:
                    asked.resume_token = answer.resume_token
                yield answer
        except grpc.aio.AioRpcError as error:
            if left == 0 or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        if left == 0:
            return
        left -= 1
        await asyncio.sleep(AGAIN_AFTER)
