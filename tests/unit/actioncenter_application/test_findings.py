"""What a scan finds is evidence of its investigation where its order says so, and the policy decides what follows."""

import hashlib
from collections.abc import Callable

import pytest
from quell.actioncenter.v1 import action_pb2, action_service_pb2, investigation_service_pb2
from quell.executor.v1 import executor_service_pb2, target_report_pb2
from quell.remediation.v1 import device_pb2, evidence_pb2, item_pb2, remediation_pb2, verdict_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from center_bench import ANN, DETECTOR, Bench
from quell_actioncenter.application import findings
from quell_actioncenter.domain.errors import InvestigationRequiredError
from quell_actioncenter.domain.policy_yaml import default_document
from quell_actioncenter.store.tables import EVIDENCE
from quell_runtime.sealing import SealKey

AGENT = SealKey(bytes([9] * 32))
CONNECTED = target_report_pb2.TARGET_STATE_CONNECTED


def finding(path: str, rule: str = "evil", content: str = "") -> item_pb2.ItemOutcome:
    """Return what a scan says of a file."""
    sha256 = hashlib.sha256((content or path).encode()).hexdigest()
    file = item_pb2.FileItem(path=path, sha256=sha256, size_bytes=1)
    item = item_pb2.Item(finding=item_pb2.FindingItem(file=file, signature=rule, owner="ann", engine="yara"))
    return item_pb2.ItemOutcome(item=item, state=item_pb2.ITEM_STATE_DONE)


async def scanned(
    bench: Bench, *found: item_pb2.ItemOutcome, wanted: bool = True, forged: bool = False
) -> receipt_pb2.Receipt:
    """Have a device scanned within an investigation, and return the receipt; other orders are carried out."""
    bench.device.answer = lambda _warrant: None
    device = bench.device.send_target(AGENT, CONNECTED)
    investigation = await bench.submit(complete=False)
    await bench.settle()
    order = device_pb2.RunAntivirusScan(device=device, quick=device_pb2.QuickScan(), findings_as_evidence=wanted)
    request = action_service_pb2.CreateActionRequest(
        action_id=bench.uuid(),
        remediation=remediation_pb2.Remediation(run_antivirus_scan=order),
        comment="look",
        investigation=investigation.name,
    )
    action = await bench.center.actions.create(request, ANN)
    await bench.settle()
    (warrant,) = bench.device.warrants
    body = item_pb2.ItemOutcomes(outcomes=found).SerializeToString()
    chunk = executor_service_pb2.ItemChunk(id=bench.uuid(), action=action.name, index=0, body=body)
    bench.device.say(executor_service_pb2.WorkResponse(items=executor_service_pb2.ItemChunks(chunks=[chunk])))
    receipt = done(bench, warrant)
    receipt.item_chunks, receipt.item_digest = 1, hashlib.sha256(b"" if forged else body).digest()
    receipt.warrant_digest = (await bench.action(action.name)).warrant_digest
    bench.device.send_receipts(receipt, key=AGENT)
    await bench.settle()
    return receipt


def done(bench: Bench, warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt:
    """Return the receipt of what was carried out."""
    return bench.device.carried_out(warrant)


async def derived(bench: Bench) -> list[action_pb2.Action]:
    """Return the actions that the policy has derived."""
    return [one.action for one in await bench.actions() if one.action.origin.HasField("policy")]


def test_each_file_found_is_evidence_once_and_the_policy_stops_it(play: Callable[..., None]) -> None:
    """Two signatures in one file are one; on a device it happens by itself, and history tells by which evidence."""

    async def story(bench: Bench) -> None:
        receipt = await scanned(bench, finding("/tmp/a"), finding("/tmp/a", "worse"), finding("/home/b"))  # noqa: S108
        kept = await bench.store.select(EVIDENCE)
        assert {row.stored.evidence.file.path for row in kept} == {"/tmp/a", "/home/b"}  # noqa: S108
        assert {row.verdict for row in kept} == {verdict_pb2.VERDICT_MALICIOUS}
        actions = await derived(bench)
        assert {action.remediation.stop_and_quarantine.file.path for action in actions} == {"/tmp/a", "/home/b"}  # noqa: S108
        assert {action.state for action in actions} == {action_pb2.ACTION_STATE_DISPATCHED}
        assert {name for action in actions for name in action.origin.policy.evidence} == {row.name for row in kept}
        again = receipt_pb2.Receipt()
        again.CopyFrom(receipt)
        again.id = bench.uuid()
        for repeated in (receipt, again):
            bench.device.send_receipts(repeated, key=AGENT)
            await bench.settle()
        assert (await bench.store.select(EVIDENCE), await derived(bench)) == (kept, actions)

    play(story)


def test_what_is_over_a_budget_is_held(play: Callable[..., None]) -> None:
    """A rule that fits everything stops what the budget allows, and no more."""

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(default_document().replace("limit: 200", "limit: 3"))
        await scanned(bench, *(finding(f"/home/{number}") for number in range(10)))
        states = [action_pb2.ActionState.Name(action.state)[13:] for action in await derived(bench)]
        assert (states.count("DISPATCHED"), states.count("HELD")) == (3, 7)

    play(story)


@pytest.mark.parametrize("fields", [{"wanted": False}, {"forged": True}])
def test_only_what_was_asked_for_and_is_the_receipts_own_counts(
    play: Callable[..., None], fields: dict[str, bool]
) -> None:
    """Without the order's word nothing becomes evidence, nor do items that the sealed receipt is not about."""

    async def story(bench: Bench) -> None:
        await scanned(bench, finding("/home/a"), **fields)
        assert await bench.store.select(EVIDENCE) == []
        assert await derived(bench) == []

    play(story)


def test_what_makes_no_sense_is_left_out(play: Callable[..., None]) -> None:
    """Nothing that names no file, a digest that is none, a path that is too long; the rest counts."""

    async def story(bench: Bench) -> None:
        nameless, wrong = item_pb2.ItemOutcome(), finding("/home/w")
        nameless.CopyFrom(finding(""))
        nameless.item.finding.file.sha256 = ""
        wrong.item.finding.file.sha256 = "x"
        await scanned(bench, nameless, wrong, finding("/" + "x" * 5000), finding("/home/good"))
        assert [row.stored.evidence.file.path for row in await bench.store.select(EVIDENCE)] == ["/home/good"]

    play(story)


def test_an_id_that_the_detector_has_used_stays_its_own(play: Callable[..., None]) -> None:
    """Whoever guesses it keeps no receipt from being stored."""

    async def story(bench: Bench) -> None:
        bench.device.answer = lambda _warrant: None
        receipt = await scanned(bench, finding("/home/a"))
        (row,) = await bench.store.select(EVIDENCE)
        other = evidence_pb2.Evidence()
        other.CopyFrom(row.stored.evidence)
        other.revision, other.verdict = 1, verdict_pb2.VERDICT_NO_THREATS_FOUND
        request = investigation_service_pb2.AddEvidenceRequest(name=row.investigation, evidence=[other])
        await bench.center.investigations.add_evidence(request, DETECTOR)
        receipt.id = bench.uuid()
        bench.device.send_receipts(receipt, key=AGENT)
        await bench.settle()
        assert receipt.id in bench.device.stored
        (row,) = await bench.store.select(EVIDENCE)
        assert row.verdict == verdict_pb2.VERDICT_NO_THREATS_FOUND

    play(story)


def test_a_scan_without_an_investigation_can_not_ask_for_it(play: Callable[..., None]) -> None:
    """There is nothing that they could be evidence of."""

    async def story(bench: Bench) -> None:
        order = device_pb2.RunAntivirusScan(quick=device_pb2.QuickScan(), findings_as_evidence=True)
        with pytest.raises(InvestigationRequiredError):
            await bench.create(remediation_pb2.Remediation(run_antivirus_scan=order))

    play(story)


def test_no_more_than_a_thousand_files_of_a_receipt_are_evidence(play: Callable[..., None]) -> None:
    """The rest stays among the action's items."""

    async def story(bench: Bench) -> None:
        await scanned(bench, *(finding(f"/h/{number}") for number in range(findings.MOST + 5)))
        assert len(await bench.store.select(EVIDENCE)) == findings.MOST

    play(story)
