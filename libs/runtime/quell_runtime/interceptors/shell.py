"""The way in and out of every RPC, in one place and order.

numbers and log ids > errors to codes > who, and may it > deadline > fields > the servicer

gRPC shows an interceptor no peer, so each handler is wrapped, and the check stands where its context is.
A servicer reads a stream by its iterator: only what comes that way has been held against the contract.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from quell_runtime import metrics
from quell_runtime.errors import AwayError
from quell_runtime.interceptors import deadline, outcome, validation
from quell_runtime.interceptors.access import Access, NotPermittedError
from quell_runtime.interceptors.call import Call, Context

Req = TypeVar("Req")
Resp = TypeVar("Resp")


class StoppingError(AwayError):
    """The stream was cut, since the service ends."""

    reason = "STOPPING"


class Shell(grpc.aio.ServerInterceptor):
    """What stands around every handler of a listener."""

    def __init__(self, access: Access) -> None:
        """Take who may call."""
        self._access = access
        self._calls = 0
        self._streams: set[asyncio.Task[object]] = set()
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Whether a call is being answered."""
        return self._calls > 0

    def cut_streams(self) -> None:
        """End every stream, now and from now on: who is there opens it again elsewhere."""
        self._stopping = True
        for task in self._streams:
            task.cancel()

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Req, Resp] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Req, Resp]":
        """Wrap the handler of one RPC."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return grpc.unary_unary_rpc_method_handler(self._unary(_absent, "unknown", stream=False))
        method = handler_call_details.method.removeprefix("/").replace("/", ".")
        asks_many, answers_many = handler.request_streaming, handler.response_streaming
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        wrapped = self._streaming(inner, method) if answers_many else self._unary(inner, method, stream=asks_many)
        make = _MAKERS[asks_many, answers_many]
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _unary(self, inner: Any, method: str, *, stream: bool) -> Any:  # noqa: ANN401 - one of four kinds of handler
        async def answered(asked: Any, context: Context) -> Any:  # noqa: ANN401
            async with self._around(Call(method, context, stream=stream)) as call:
                return await inner(self._admitted(call, asked), context)

        return answered

    def _streaming(self, inner: Any, method: str) -> Any:  # noqa: ANN401 - as above
        async def answered(asked: Any, context: Context) -> AsyncIterator[Message]:  # noqa: ANN401
            async with self._around(Call(method, context, stream=True)) as call:
                answers = inner(self._admitted(call, asked), context)
                if not hasattr(answers, "__aiter__"):
                    await answers  # it writes to its context by itself, as the health service does
                    return
                async with aclosing(answers):
                    async for each in answers:
                        yield each

        return answered

    @asynccontextmanager
    async def _around(self, call: Call) -> AsyncIterator[Call]:
        with structlog.contextvars.bound_contextvars(method=call.method), metrics.counted(call), self._noted(call):
            try:
                yield call
            except grpc.aio.AbortError:
                raise
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                await outcome.answer(call, StoppingError("the service is stopping; open the stream again"))
            except Exception as error:  # noqa: BLE001 - the edge: whatever it is, its text stays here
                await outcome.answer(call, error)

    @contextmanager
    def _noted(self, call: Call) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - gRPC answers each call in one
        self._calls += 1
        if call.stream:
            self._streams.add(task)
        try:
            yield
        finally:
            self._calls -= 1
            self._streams.discard(task)

    def _admitted(self, call: Call, asked: Any) -> Any:  # noqa: ANN401 - a message, or an iterator over them
        if self._stopping and call.stream:
            raise StoppingError("the service is stopping; open the stream again")
        self._access.admit(call)
        deadline.required(call)
        if isinstance(asked, Message):
            validation.check(asked)
            return asked
        return validation.checked(asked)


_MAKERS: "dict[tuple[bool, bool], Callable[[Any, Any, Any], grpc.RpcMethodHandler[Any, Any]]]" = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


async def _absent(_request: object, _context: Context) -> None:
    raise NotPermittedError("there is no such RPC here")
