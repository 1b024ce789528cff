"""The brakes: freeze and budgets; and the policy in force."""

from quell.actioncenter.v1 import control_service_pb2, policy_service_pb2

from quell_actioncenter.application.actor import Actor


class Controls:
    """The use cases of `ControlService` and `PolicyService`."""

    async def freeze(
        self, request: control_service_pb2.FreezeRequest, actor: Actor
    ) -> control_service_pb2.FreezeStatus:
        """Stop new effects at once."""
        raise NotImplementedError

    async def unfreeze(
        self, request: control_service_pb2.UnfreezeRequest, actor: Actor
    ) -> control_service_pb2.FreezeStatus:
        """Vote to lift the freeze; the second person's vote lifts it."""
        raise NotImplementedError

    async def get_freeze(self) -> control_service_pb2.FreezeStatus:
        """Return the freeze as it is."""
        raise NotImplementedError

    async def list_budgets(self) -> list[control_service_pb2.Budget]:
        """Return the budgets of the policy and what is left of each, by name."""
        raise NotImplementedError

    async def get_policy(self, name: str) -> policy_service_pb2.Policy:
        """Return a version of the policy, or `policies/current`."""
        raise NotImplementedError

    async def load_policy(self, document: str) -> policy_service_pb2.Policy:
        """Put a document in force as the next version, unless it is in force already; at start."""
        raise NotImplementedError
