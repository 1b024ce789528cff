"""`PolicyService`: the policy in force and those before it."""
# ruff: noqa: N802 - methods have the contract's names

from quell.actioncenter.v1 import policy_service_pb2 as messages
from quell.actioncenter.v1.policy_service_pb2_grpc import PolicyServiceServicer

from quell_actioncenter.application.controls import Controls
from quell_runtime.errors import NotServedError


class PolicyServicer(PolicyServiceServicer):
    """Reads versions; a new one comes with the configuration, at start."""

    def __init__(self, controls: Controls) -> None:
        """Ask the use cases."""
        self._controls = controls

    async def GetPolicy(self, request: messages.GetPolicyRequest, _context: object) -> messages.GetPolicyResponse:
        """Return a version."""
        return messages.GetPolicyResponse(policy=await self._controls.get_policy(request.name))

    async def UpdatePolicy(
        self, _request: messages.UpdatePolicyRequest, _context: object
    ) -> messages.UpdatePolicyResponse:
        """Say what to do instead."""
        raise NotServedError("this version takes its policy from its configuration: change the file and start again")

    async def TestPolicy(self, _request: messages.TestPolicyRequest, _context: object) -> messages.TestPolicyResponse:
        """Say what to do instead."""
        raise NotServedError("this version does not try a policy on the past: `quell policy check` reads a document")
