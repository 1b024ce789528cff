"""Remediations by hand, one RPC a kind: each asks the Action Center for its caller, and answers the action.

The RPCs are alike, so their servicers are made from the contract: the kind is told by the request's `remediation`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from quell.actioncenter.v1 import action_pb2, action_service_pb2, action_service_pb2_grpc
from quell.remediation.v1 import remediation_pb2

from quell_runtime import client, people
from quell_runtime.config import Listener, Peer
from quell_runtime.errors import AwayError
from quell_runtime.interceptors.call import Context
from quell_runtime.own_keys import METADATA

_DETAILS = "grpc-status-details-bin"
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class ActionCenterAwayError(AwayError):
    """The Action Center can't be asked now, or nobody said where it is."""

    reason = "ACTION_CENTER_AWAY"


class Asked(Protocol):
    """A request of one of these RPCs."""

    action_id: str
    comment: str
    remediation: Message


class ActionCenter:
    """The way to ask for actions on behalf of callers."""

    def __init__(self, channel: grpc.aio.Channel | None) -> None:
        """Ask over a channel; None: there is nobody to ask."""
        self._stub = None if channel is None else action_service_pb2_grpc.ActionServiceStub(channel)

    async def ask(self, kind: str, asked: Asked, context: Context) -> action_pb2.Action:
        """Ask for a remediation as the caller does: in that person's name, by its deadline, with its token.

        Raises:
            ActionCenterAwayError: Nobody answers there.
            AioRpcError: What it answers instead, for the caller to be told.

        """
        if self._stub is None:
            raise ActionCenterAwayError("the configuration names no [action_center]")
        person = people.person()
        assert person is not None, "the contract lets in people alone"  # noqa: S101
        request = action_service_pb2.CreateActionRequest(
            action_id=asked.action_id, comment=asked.comment, on_behalf_of=person.name
        )
        getattr(request.remediation, kind).CopyFrom(asked.remediation)
        handed_on = [(key, value) for key, value in context.invocation_metadata() or () if key == METADATA]
        try:
            answer = await self._stub.CreateAction(request, timeout=context.time_remaining(), metadata=handed_on)
        except grpc.aio.AioRpcError as error:
            told = any(key == _DETAILS for key, _ in error.trailing_metadata() or ())
            if told or error.code() not in _AWAY:
                raise
            raise ActionCenterAwayError("the Action Center can't be reached now; try again") from None
        return answer.action


@asynccontextmanager
async def action_center(peer: Peer | None, own: Listener) -> AsyncIterator[ActionCenter]:
    """Open the way to the Action Center, with the certificate that a service's own listener shows."""
    if peer is None:
        yield ActionCenter(None)
        return
    files = client.Credentials(peer.server_ca, own.certificate, own.key)
    async with client.channel(str(peer.address), files, peer.server_name) as channel:
        yield ActionCenter(channel)


def servicer(base: type[Any], service: ServiceDescriptor) -> Callable[[ActionCenter], Any]:
    """Return the servicer class of a service whose every RPC asks for a kind of remediation."""

    def initialise(self: Any, center: ActionCenter) -> None:  # noqa: ANN401 - the class that is being made
        self.center = center

    methods = {method.name: _asking(method) for method in service.methods}
    return type(base.__name__.replace("Servicer", "ByHand"), (base,), {"__init__": initialise, **methods})


def _asking(method: MethodDescriptor) -> Callable[[Any, Asked, Context], Awaitable[Message]]:
    kind, answer = _kind_of(method), GetMessageClass(method.output_type)

    async def asking(self: Any, request: Asked, context: Context) -> Message:  # noqa: ANN401
        return answer(action=await self.center.ask(kind, request, context))

    return asking


def _kind_of(method: MethodDescriptor) -> str:
    """Return the kind that an RPC asks for: the one whose message its request holds."""
    order = method.input_type.fields_by_name["remediation"].message_type
    fields = remediation_pb2.Remediation.DESCRIPTOR.oneofs_by_name["kind"].fields
    return next(field.name for field in fields if field.message_type is order)
