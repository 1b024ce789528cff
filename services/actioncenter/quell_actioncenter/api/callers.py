"""From the identity of a call to whoever asks, as the use cases know them."""

from collections.abc import Sequence
from datetime import datetime

from quell.actioncenter.v1 import action_service_pb2
from quell.annotations.v1 import annotations_pb2

from quell_actioncenter.application.actor import Actor
from quell_actioncenter.signing.own_seals import Errand, check_token
from quell_runtime import identity, people, roles
from quell_runtime.errors import InvalidError
from quell_runtime.interceptors.call import Context
from quell_runtime.own_keys import METADATA


def actor() -> Actor:
    """Return who calls the RPC that is being answered: the person behind the identity, or what is no person."""
    person = people.person()
    if person is not None:
        return Actor(person.name, person.rights, keys=person.keys)
    caller = identity.caller()
    return Actor(caller.name, roles.OF_KIND[caller.caller])


def asking_for(
    request: action_service_pb2.CreateActionRequest, known: people.People, tokens: Sequence[str], now: datetime
) -> Actor:
    """Return for whom the caller asks: for itself, or, a service, for the person that it names.

    `tokens` are those that came along: with the person's own, it is as if the person asked.

    Raises:
        InvalidError: A service names nobody, or anybody else names somebody.
        ActorTokenInvalidError: The token is not that person's word for this.

    """
    name = request.on_behalf_of
    caller = identity.caller()
    if caller.caller != annotations_pb2.CALLER_SERVICE:
        if name:
            raise InvalidError("only a service asks for somebody else", "on_behalf_of")
        return actor()
    person = known.named(name) if name else None
    if person is None:
        raise InvalidError("a service asks for a person that people.toml knows", "on_behalf_of")
    for token in tokens:
        action = f"actions/{request.action_id.lower()}"
        check_token(token, Errand(person.name, person.keys, caller, action), now)
    # Without a credential of the person, what is asked for waits for other people's votes.
    return Actor(person.name, person.rights, via="" if tokens else caller.name)


def tokens_of(context: Context) -> Sequence[str]:
    """Return the tokens that came along with a call."""
    return [str(value) for key, value in context.invocation_metadata() or () if key == METADATA]


def detector() -> str:
    """Return the detector that calls, which sees its own only; empty if anybody else calls."""
    caller = identity.caller()
    return caller.name if caller.caller == annotations_pb2.CALLER_DETECTOR else ""
