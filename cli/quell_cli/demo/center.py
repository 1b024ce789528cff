"""What the demo asks of the services, as the people and the detector that take part."""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    action_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    effect_pb2,
    effect_service_pb2,
    effect_service_pb2_grpc,
    investigation_pb2,
    investigation_service_pb2,
    investigation_service_pb2_grpc,
)
from quell.device.v1 import device_pb2, fleet_service_pb2, fleet_service_pb2_grpc
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.executor.v1 import target_report_pb2
from quell.remediation.v1 import evidence_pb2, item_pb2, remediation_pb2

from quell_cli.connection import Connection
from quell_cli.session import TIMEOUT

ENDED = action_pb2.ACTION_STATE_SUCCEEDED
FINISHED = investigation_pb2.INVESTIGATION_STATE_NO_THREATS_FOUND
WITHIN = 60.0
Seen = TypeVar("Seen")


class Center:
    """Calls by name. Each person has a connection of its own."""

    def __init__(self, detector: Connection, ann: Connection, bob: Connection) -> None:
        """Keep who takes part."""
        self._detector = detector
        self._people = {"ann": ann, "bob": bob}

    def actions(self, person: str) -> "action_service_pb2_grpc.ActionServiceAsyncStub":
        """Return ActionService as a person."""
        return self._people[person].stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)

    async def device(self) -> device_pb2.Device:
        """Return this machine, once it is connected."""
        stub = self._people["ann"].stub("device", fleet_service_pb2_grpc.FleetServiceStub)

        async def look() -> Sequence[device_pb2.Device]:
            return (await stub.ListDevices(fleet_service_pb2.ListDevicesRequest(), timeout=TIMEOUT)).devices

        connected = target_report_pb2.TARGET_STATE_CONNECTED
        found = await until(look, lambda devices: any(each.state == connected for each in devices))
        return next(each for each in found if each.state == connected)

    async def submit(
        self, name: str, title: str, evidence: Sequence[evidence_pb2.Evidence]
    ) -> investigation_pb2.Investigation:
        """Submit an investigation whose analysis is done."""
        stub = self._detector.stub("actioncenter", investigation_service_pb2_grpc.InvestigationServiceStub)
        request = investigation_service_pb2.SubmitInvestigationRequest(
            investigation_id=name,
            investigation=investigation_pb2.Investigation(title=title),
            evidence=evidence,
            complete=True,
        )
        return (await stub.SubmitInvestigation(request, timeout=TIMEOUT)).investigation

    async def investigation(
        self, name: str, until_true: Callable[[investigation_pb2.Investigation], bool]
    ) -> investigation_pb2.Investigation:
        """Return the investigation once it is as wanted."""
        stub = self._people["ann"].stub("actioncenter", investigation_service_pb2_grpc.InvestigationServiceStub)

        async def look() -> investigation_pb2.Investigation:
            request = investigation_service_pb2.GetInvestigationRequest(name=name)
            return (await stub.GetInvestigation(request, timeout=TIMEOUT)).investigation

        return await until(look, until_true)

    async def of_investigation(self, name: str) -> list[action_pb2.Action]:
        """Return the actions of an investigation, oldest first."""
        request = action_service_pb2.ListActionsRequest(filter=f'investigation = "{name}"', order_by="create_time")
        return list((await self.actions("ann").ListActions(request, timeout=TIMEOUT)).actions)

    async def ask(self, person: str, remediation: remediation_pb2.Remediation, comment: str) -> action_pb2.Action:
        """Ask for a remediation by hand."""
        request = action_service_pb2.CreateActionRequest(
            action_id=str(uuid.uuid4()), remediation=remediation, comment=comment
        )
        return (await self.actions(person).CreateAction(request, timeout=TIMEOUT)).action

    async def preview(self, person: str, action: str) -> action_service_pb2.PreviewActionResponse:
        """Return what an action would do."""
        request = action_service_pb2.PreviewActionRequest(name=action)
        return await self.actions(person).PreviewAction(request, timeout=TIMEOUT)

    async def approve(self, person: str, action: str, comment: str) -> action_pb2.Action:
        """Look at an action and approve what was seen."""
        seen = hashlib.sha256((await self.preview(person, action)).preview).hexdigest()
        request = action_service_pb2.ApproveActionRequest(
            name=action, vote_id=str(uuid.uuid4()), comment=comment, preview_digest=seen
        )
        return (await self.actions(person).ApproveAction(request, timeout=TIMEOUT)).action

    async def undo(self, person: str, action: str, comment: str) -> action_pb2.Action:
        """Ask for the reverse of an action."""
        request = action_service_pb2.UndoActionRequest(name=action, undo_id=str(uuid.uuid4()), comment=comment)
        return (await self.actions(person).UndoAction(request, timeout=TIMEOUT)).action

    async def live(self, action: str, tell: Callable[[action_pb2.Action], None]) -> action_pb2.Action:
        """Tell each change of an action until its end, and return it."""
        request = action_service_pb2.WatchActionsRequest(filter=f'name = "{action}"')
        stream = self.actions("ann").WatchActions(request, timeout=WITHIN)
        async for answer in stream:
            tell(answer.action)
            if answer.action.state >= ENDED:
                stream.cancel()
                return answer.action
        raise TimeoutError(action)

    async def items(self, action: str) -> list[item_pb2.ItemOutcome]:
        """Return what came of each item of an action."""
        request = action_service_pb2.ListActionItemsRequest(name=action)
        return list((await self.actions("ann").ListActionItems(request, timeout=TIMEOUT)).items)

    async def effects(self) -> list[effect_pb2.Effect]:
        """Return what is in force."""
        stub = self._people["ann"].stub("actioncenter", effect_service_pb2_grpc.EffectServiceStub)
        return list((await stub.ListEffects(effect_service_pb2.ListEffectsRequest(), timeout=TIMEOUT)).effects)

    async def verify(self) -> audit_service_pb2.VerifyAuditResponse:
        """Have the audit log verified."""
        stub = self._people["ann"].stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        return await stub.VerifyAudit(audit_service_pb2.VerifyAuditRequest(), timeout=TIMEOUT)

    async def check_url(self, url: str) -> str:
        """Return what the service says of a URL: `ALLOWED` or `BLOCKED`."""
        stub = self._people["ann"].stub("email", url_service_pb2_grpc.UrlServiceStub)
        answer = await stub.CheckUrl(url_service_pb2.CheckUrlRequest(url=url), timeout=TIMEOUT)
        return url_service_pb2.UrlAnswer.Name(answer.check.answer).removeprefix("URL_ANSWER_")


async def until(look: Callable[[], Awaitable[Seen]], wanted: Callable[[Seen], bool]) -> Seen:
    """Look until what is seen is as wanted, and return it.

    Raises:
        TimeoutError: It does not come.

    """
    async with asyncio.timeout(WITHIN):
        while True:
            if wanted(seen := await look()):
                return seen
            await asyncio.sleep(0.1)
