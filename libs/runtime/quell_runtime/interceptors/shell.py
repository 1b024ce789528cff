"""The way in and out of every RPC, in one place and order.

numbers and log ids > errors to codes > who, and may it > deadline > fields > the servicer

gRPC shows an interceptor no peer, so each handler is wrapped, and the check stands where its context is.
A servicer reads a stream by its iterator: only what comes that way has been held against the contract.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from quell_runtime.errors import AwayError, FullError, NotPermittedError
from quell_runtime.interceptors import counting, deadline, outcome, validation
from quell_runtime.interceptors.access import Gate
from quell_runtime.interceptors.call import Call, Context

_STOPPING = "the service is stopping; open the stream again"
Req = TypeVar("Req")
Resp = TypeVar("Resp")


class StoppingError(AwayError):
    """The stream was cut, since the service ends."""

    reason = "STOPPING"


class CallerBusyError(FullError):
    """One caller has too many calls under way; others are served."""

    reason = "CALLER_BUSY"


class Shell(grpc.aio.ServerInterceptor):
    """What stands around every handler of a listener."""

    def __init__(self, gate: Gate, calls_per_caller: int) -> None:
        """Take who may call, and how often at once."""
        self._gate = gate
        self._calls_per_caller = calls_per_caller
        self._calls_of: Counter[str] = Counter()
        self._streams: set[asyncio.Task[object]] = set()
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Whether a call is being answered."""
        return bool(self._calls_of)

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
            call = Call(method, context, stream=stream)
            async with self._told(call):
                with self._admitted(call):
                    return await inner(_held(asked), context)

        return answered

    def _streaming(self, inner: Any, method: str) -> Any:  # noqa: ANN401 - as above
        async def answered(asked: Any, context: Context) -> AsyncIterator[Message]:  # noqa: ANN401
            call = Call(method, context, stream=True)
            async with self._told(call):
                with self._admitted(call):
                    answers = inner(_held(asked), context)
                    if not hasattr(answers, "__aiter__"):
                        await answers  # it writes to its context by itself, as the health service does
                        return
                    async with aclosing(answers):
                        async for each in answers:
                            yield each

        return answered

    @asynccontextmanager
    async def _told(self, call: Call) -> AsyncIterator[None]:
        """Count the call, and turn whatever is raised within into what the caller is told."""
        structlog.contextvars.bind_contextvars(method=call.method)  # each call has a task, so nothing is to be unbound
        with counting.counted(call):
            try:
                yield
            except grpc.aio.AbortError:
                raise
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                await outcome.answer(call, StoppingError(_STOPPING))
            except Exception as error:  # noqa: BLE001 - the edge: whatever it is, its text stays here
                await outcome.answer(call, error)

    @contextmanager
    def _admitted(self, call: Call) -> Iterator[None]:
        """Let a call in if it may, and remember it while it lasts."""
        if self._stopping and call.stream:
            raise StoppingError(_STOPPING)
        caller = self._gate.admit(call)
        if caller and self._calls_of[caller] >= self._calls_per_caller:
            raise CallerBusyError("too many calls of this caller are under way; wait for some to end")
        deadline.required(call)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - gRPC answers each call in one
        self._calls_of[caller] += 1
        if call.stream:
            self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)
            self._calls_of[caller] -= 1
            if not self._calls_of[caller]:
                del self._calls_of[caller]


def _held(asked: Any) -> Any:  # noqa: ANN401 - a message, or an iterator over them
    if not isinstance(asked, Message):
        return validation.checked(asked)
    validation.check(asked)
    return asked


_MAKERS: "dict[tuple[bool, bool], Callable[[Any, Any, Any], grpc.RpcMethodHandler[Any, Any]]]" = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


async def _absent(_request: object, _context: Context) -> None:
    raise NotPermittedError("there is no such RPC here")
