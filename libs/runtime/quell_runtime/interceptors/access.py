"""Who may call: what the contract's `access` grants, and nothing else."""

from dataclasses import dataclass
from typing import Protocol

import structlog
from grpc_health.v1 import health
from quell.annotations.v1 import annotations_pb2

from quell_runtime import identity, people, reflection, roles
from quell_runtime.errors import NotPermittedError
from quell_runtime.interceptors.call import Call
from quell_runtime.people import People, Person
from quell_runtime.seams import Clock

ANYONE = annotations_pb2.CALLER_ANYONE
OPEN_TO_THE_KNOWN = (f"{health.SERVICE_NAME}.", f"{reflection.NAME}.")


class Gate(Protocol):
    """Who may call, at one listener."""

    def admit(self, call: Call) -> str:
        """Note who calls, and return whose quota the call counts to (empty: nobody's), or raise."""


@dataclass(frozen=True, slots=True)
class Access:
    """The check at a listener where callers show who they are."""

    deployment: str
    people: People
    clock: Clock

    def admit(self, call: Call) -> str:
        """Note who calls, and return its id, or refuse.

        Raises:
            IdentityError: The caller has not shown who it is.
            NotPermittedError: It may not call this.

        """
        who = identity.of(call.context, self.deployment, self.clock.now())
        identity.answering(who)
        structlog.contextvars.bind_contextvars(caller=str(who))
        if not call.method.startswith(OPEN_TO_THE_KNOWN):
            if who.caller not in call.access.callers:
                raise NotPermittedError("this kind of caller may not call it", caller=str(who))
            people.answering(self._person(who, call.access.permission))
        return str(who)

    def _person(self, who: identity.Identity, permission: str) -> Person | None:
        """Return the person behind the caller, if it has to be one, once it holds the permission."""
        if who.caller != annotations_pb2.CALLER_OPERATOR:
            if not permission or not roles.grants(roles.OF_KIND.get(who.caller, ()), permission):
                raise NotPermittedError(f"{permission} is needed", permission=permission)
            return None
        found = self.people.of(who)
        if found is None:
            raise NotPermittedError("nobody in people.toml has this identity", caller=str(who))
        if not permission or not found.may(permission):
            raise NotPermittedError(f"{found.name} needs {permission}", permission=permission)
        return found


class Enrolment:
    """The check at a listener where nobody shows who it is."""

    def admit(self, call: Call) -> str:
        """Let through what the contract opens to anyone.

        Raises:
            NotPermittedError: It does not.

        """
        granted = roles.grants(roles.OF_KIND[ANYONE], call.access.permission)
        if ANYONE not in call.access.callers or not granted:
            raise NotPermittedError("callers without an identity may not call it")
        return ""


class LocalHealth:
    """The check at a listener for this machine alone."""

    def admit(self, call: Call) -> str:
        """Let through questions for health.

        Raises:
            NotPermittedError: It is another.

        """
        if not call.method.startswith(f"{health.SERVICE_NAME}."):
            raise NotPermittedError("only health is answered here")
        return ""
