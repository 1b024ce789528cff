"""A verdict that falls has what it caused called off or its undo proposed; one that rises asks for more, once."""

from collections.abc import Callable

from quell.actioncenter.v1 import action_service_pb2, investigation_pb2, investigation_service_pb2
from quell.executor.v1 import target_report_pb2
from quell.remediation.v1 import evidence_pb2

from center_bench import ANN, BOB, DETECTOR, HARMLESS, SUSPICIOUS, Bench, file, url
from quell_actioncenter.domain.policy_yaml import default_document
from quell_actioncenter.store.tables import EVIDENCE, INVESTIGATIONS
from quell_runtime.sealing import SealKey

AGENT, OTHER = SealKey(bytes([9] * 32)), SealKey(bytes([8] * 32))
CONNECTED = target_report_pb2.TARGET_STATE_CONNECTED
UNRESOLVED = investigation_pb2.NO_ACTION_REASON_TARGET_UNRESOLVED
LACKS = investigation_pb2.NO_ACTION_REASON_EXECUTOR_LACKS_KIND
SCAN_TOO = """  - name: scan-too
    evidence: [file]
    remediation: run_antivirus_scan
    parameters: {quick: {}}
"""


async def add(bench: Bench, *evidence: evidence_pb2.Evidence) -> investigation_service_pb2.AddEvidenceResponse:
    """Add evidence to the first investigation."""
    request = investigation_service_pb2.AddEvidenceRequest(name="investigations/xdr.1", evidence=evidence)
    answer = await bench.center.investigations.add_evidence(request, DETECTOR)
    await bench.settle()
    return answer


async def counts(bench: Bench) -> tuple[int, int, int]:
    """Return threats, unserved and undetermined."""
    (one,) = await bench.store.select(INVESTIGATIONS)
    return one.threats, one.unserved, one.undetermined


def test_what_is_still_pending_is_called_off(play: Callable[..., None]) -> None:
    """And asked for anew if the verdict rises again."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(), complete=False)
        assert (await add(bench, url(verdict=HARMLESS, revision=1))).replaced == 1
        assert await bench.states() == ["CANCELED"]
        assert await counts(bench) == (0, 0, 0)
        await add(bench, url(revision=2))
        await add(bench, url(verdict=SUSPICIOUS, revision=3))
        assert sorted(await bench.states()) == ["CANCELED", "PENDING_APPROVAL"]
        assert await counts(bench) == (1, 0, 0)

    play(story)


def test_the_undo_of_what_is_done_is_proposed_and_withdrawn(play: Callable[..., None]) -> None:
    """A person decides about it, unless the verdict rises again before."""

    async def story(bench: Bench) -> None:
        device = bench.device.send_target(AGENT, CONNECTED)
        bench.device.answer = lambda _warrant: None
        await bench.settle()
        await bench.submit(file(device=device), complete=False)
        await bench.settle()
        await add(bench, file(device=device, verdict=HARMLESS, revision=1))
        assert await bench.states() == ["DISPATCHED"]
        receipt = bench.device.carried_out(bench.device.warrants[0])
        receipt.warrant_digest = (await bench.actions())[0].warrant_digest
        bench.device.send_receipts(receipt, key=AGENT)
        await bench.settle()
        done, undo = sorted(await bench.actions(), key=lambda one: one.action.undo_of)
        assert (undo.action.undo_of, undo.action.origin.policy.rule) == (done.name, "verdict-fell")
        assert sorted(await bench.states()) == ["PENDING_APPROVAL", "SUCCEEDED"]
        await add(bench, file(device=device, revision=2))
        assert sorted(await bench.states()) == ["CANCELED", "SUCCEEDED"]
        await add(bench, file(device=device, verdict=HARMLESS, revision=3))
        (again,) = [one for one in await bench.actions() if one.state == 1]
        for who in (ANN, BOB):
            await bench.approve(again.action, who)
        await bench.settle()
        assert bench.device.warrants[-1].undo_of == done.name

    play(story)


def test_what_people_took_back_stays_so_until_the_verdict_rises(play: Callable[..., None]) -> None:
    """The same verdict sent again asks for nothing; so it is with what they rejected."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1, SUSPICIOUS), url(2, SUSPICIOUS), complete=False)
        done, unwanted = await bench.actions()
        await bench.approve(done.action)
        await bench.settle()
        await bench.undo(done.name)
        rejected = action_service_pb2.RejectActionRequest(
            name=unwanted.name, vote_id=bench.uuid(), comment="no", etag=unwanted.action.etag
        )
        await bench.center.actions.reject(rejected, BOB)
        await add(bench, url(1, SUSPICIOUS, 1), url(2, SUSPICIOUS, 1))
        assert sorted(await bench.states()) == ["REJECTED", "SUCCEEDED", "SUCCEEDED"]
        await add(bench, url(1, revision=2), url(2, revision=2))
        await add(bench, url(1, revision=3), url(2, revision=3))
        assert (await bench.states()).count("PENDING_APPROVAL") == 2

    play(story)


def test_a_risen_verdict_lets_go_what_was_pending(play: Callable[..., None]) -> None:
    """One action, let go by the policy."""

    async def story(bench: Bench) -> None:
        device = bench.device.send_target(AGENT, CONNECTED)
        await bench.settle()
        await bench.submit(file(device=device, verdict=SUSPICIOUS), complete=False)
        assert await bench.states() == ["PENDING_APPROVAL"]
        await add(bench, file(device=device, revision=1))
        (record,) = await bench.actions()
        assert record.action.decision.rule == "stop-and-quarantine-files"
        assert len(bench.device.warrants) == 1

    play(story)


def test_what_two_pieces_of_evidence_asked_for_outlives_the_fall_of_one(play: Callable[..., None]) -> None:
    """Only when nothing asks for it any more it is called off."""

    async def story(bench: Bench) -> None:
        where = "https://evil.example/x"
        await bench.submit(url(1, where=where), url(2, where=where), complete=False)
        await add(bench, url(1, verdict=HARMLESS, revision=1, where=where))
        assert await bench.states() == ["PENDING_APPROVAL"]
        await add(bench, url(2, verdict=HARMLESS, revision=1, where=where))
        assert await bench.states() == ["CANCELED"]

    play(story)


def test_evidence_of_an_unknown_device_is_read_again_when_it_is_known(play: Callable[..., None]) -> None:
    """By its name, by its host name, and by the one device of its investigation."""

    async def story(bench: Bench) -> None:
        named = file(1, device="devices/" + "a" * 26)
        hosted = file(2)
        hosted.host_name = "Web-1"
        await bench.submit(named, hosted, file(3), complete=False)
        assert [one.no_action for one in await bench.store.select(EVIDENCE)] == [UNRESOLVED] * 3
        assert await counts(bench) == (3, 3, 0)
        device = bench.device.send_target(AGENT, CONNECTED, "web-1")
        await bench.settle()
        # A host name alone leaves doubt: people decide.
        assert await bench.states() == ["PENDING_APPROVAL"]
        assert (await bench.actions())[0].action.resolved_by == "Web-1"
        await bench.submit(file(4), number="2", complete=False)
        request = investigation_service_pb2.AddEvidenceRequest(
            name="investigations/xdr.2", evidence=[file(5, device=device)]
        )
        await bench.center.investigations.add_evidence(request, DETECTOR)
        await bench.settle()
        second = [one for one in await bench.actions() if one.investigation == "investigations/xdr.2"]
        assert [one.device for one in second] == [device, device]

    play(story)


def test_a_host_name_that_two_claim_means_neither(play: Callable[..., None]) -> None:
    """It stays unresolved, and says so."""

    async def story(bench: Bench) -> None:
        bench.device.send_target(AGENT, CONNECTED, "web-1")
        bench.device.send_target(OTHER, CONNECTED, "web-1")
        await bench.settle()
        hosted = file()
        hosted.host_name = "web-1"
        await bench.submit(hosted)
        assert not await bench.actions()
        (kept,) = await bench.store.select(EVIDENCE)
        assert kept.no_action == UNRESOLVED

    play(story)


def test_a_host_name_means_the_one_that_is_left(play: Callable[..., None]) -> None:
    """A machine that was enrolled anew under its old name: once the old identity is banned, the name is the new one's.

    What waited is read again, and waits for people, since only the name tells. A third claim makes it unresolved.
    """

    async def story(bench: Bench) -> None:
        bench.device.send_target(AGENT, CONNECTED, "web-1")
        new = bench.device.send_target(OTHER, CONNECTED, "WEB-1")
        await bench.settle()
        hosted, later = file(1), file(2)
        hosted.host_name = later.host_name = "Web-1"
        await bench.submit(hosted, complete=False)
        assert not await bench.actions()
        bench.device.send_target(AGENT, target_report_pb2.TARGET_STATE_BANNED, "web-1")
        await bench.settle(2)
        (action,) = await bench.actions()
        assert (action.device, action.action.resolved_by) == (new, "Web-1")
        assert await bench.states() == ["PENDING_APPROVAL"]
        bench.device.send_target(SealKey(bytes([11] * 32)), CONNECTED, "web-1")
        await bench.settle()
        await bench.submit(later, number="2")
        assert len(await bench.actions()) == 1
        unresolved = [row for row in await bench.store.select(EVIDENCE) if row.no_action]
        assert [row.no_action for row in unresolved] == [UNRESOLVED]

    play(story)


def test_evidence_whose_kind_nobody_offers_is_read_again_when_somebody_does(play: Callable[..., None]) -> None:
    """An executor that learns a kind is told what waits for it."""

    async def story(bench: Bench) -> None:
        offered, bench.email.kinds = bench.email.kinds, []
        bench.email.vanish()
        bench.email.reachable.set()
        await bench.settle(2)
        await bench.submit(url())
        (kept,) = await bench.store.select(EVIDENCE)
        assert (kept.no_action, kept.waits_for) == (LACKS, "plane/email")
        bench.email.kinds = offered
        bench.email.vanish()
        bench.email.reachable.set()
        await bench.settle(2)
        assert await bench.states() == ["PENDING_APPROVAL"]
        assert await counts(bench) == (1, 0, 0)

    play(story)


def test_a_rule_that_can_not_be_served_yet_follows_later_beside_the_other(play: Callable[..., None]) -> None:
    """And what was done stays done when its device is lost: that is no verdict."""

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(default_document().replace("playbook:\n", f"playbook:\n{SCAN_TOO}"))
        offered, bench.device.kinds = bench.device.kinds, ["stop_and_quarantine"]
        device = bench.device.send_target(AGENT, CONNECTED)
        bench.device.answer = lambda _warrant: None
        await bench.settle()
        await bench.submit(file(device=device), complete=False)
        await bench.settle()
        assert [one.kind for one in await bench.actions()] == ["stop_and_quarantine"]
        bench.device.kinds = offered
        bench.device.send_target(AGENT, CONNECTED)
        await bench.settle()
        assert sorted(one.kind for one in await bench.actions()) == ["run_antivirus_scan", "stop_and_quarantine"]
        (kept,) = await bench.store.select(EVIDENCE)
        assert (len(kept.stored.actions), kept.waits_for) == (2, "")
        bench.device.send_target(AGENT, target_report_pb2.TARGET_STATE_BANNED)
        await add(bench, file(device=device, revision=1))
        (kept,) = await bench.store.select(EVIDENCE)
        assert (len(kept.stored.actions), kept.no_action) == (2, 0)
        assert not any(one.fallen for one in await bench.actions())

    play(story)


def test_a_person_ends_an_investigation_and_nothing_leads_out_of_that(play: Callable[..., None]) -> None:
    """What was not sent is canceled, also what one more person is asked about."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1), url(2), complete=False)
        request = investigation_service_pb2.TerminateInvestigationRequest(name="investigations/xdr.1", comment="no")
        for _ in range(2):
            ended = await bench.center.investigations.terminate(request, BOB)
            assert ended.state == investigation_pb2.INVESTIGATION_STATE_TERMINATED_BY_USER
        assert await bench.states() == ["CANCELED", "CANCELED"]

    play(story)
