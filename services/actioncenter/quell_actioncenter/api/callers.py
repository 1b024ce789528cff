"""From the identity of a call to whoever asks, as the use cases know them."""

from quell.annotations.v1 import annotations_pb2

from quell_actioncenter.application.actor import Actor
from quell_runtime import identity, people, roles
from quell_runtime.errors import InvalidError


def actor() -> Actor:
    """Return who calls the RPC that is being answered: the person behind the identity, or what is no person."""
    person = people.person()
    if person is not None:
        return Actor(person.name, person.rights, keys=person.keys)
    caller = identity.caller()
    return Actor(caller.name, roles.OF_KIND[caller.caller])


def asking_for(name: str, known: people.People) -> Actor:
    """Return for whom the caller asks: for itself, or, a service, for the person of that name.

    Raises:
        InvalidError: A service names nobody, or anybody else names somebody.

    """
    caller = identity.caller()
    if caller.caller != annotations_pb2.CALLER_SERVICE:
        if name:
            raise InvalidError("only a service asks for somebody else", "on_behalf_of")
        return actor()
    person = known.named(name) if name else None
    if person is None:
        raise InvalidError("a service asks for a person that people.toml knows", "on_behalf_of")
    # No credential of the person came along, so what is asked for waits for other people's votes.
    return Actor(person.name, person.rights, via=caller.name)


def detector() -> str:
    """Return the detector that calls, which sees its own only; empty if anybody else calls."""
    caller = identity.caller()
    return caller.name if caller.caller == annotations_pb2.CALLER_DETECTOR else ""
