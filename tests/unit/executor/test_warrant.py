"""Nothing is carried out without a warrant that holds, and only `verify` says that one does."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from quell.remediation.v1 import email_pb2, remediation_pb2
from quell.warrant.v1 import approval_pb2, key_set_pb2, preview_pb2, receipt_pb2, warrant_pb2

from kit_house import CENTER, DEPLOYMENT, IDENTITY, ROOT, START, Center, FakeClock, House, key_set, sealed
from kit_world import content, quarantine
from quell_executor.effect import RefusedError
from quell_executor.quorum import Quorum, quorums_of
from quell_executor.settings import Settings
from quell_executor.warrant import Bench, VerifiedWarrant, verify
from quell_runtime.errors import InvalidError
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp

KEYS = key_set_pb2.KeySet.FromString(key_set().body)
ANN, BOB, SPARE = (SealKey(bytes([number]) * 32) for number in (11, 12, 13))
QUORUM = Quorum(2, {ANN.public: "ann", BOB.public: "bob", SPARE.public: "bob"})
KIND = "stop_and_quarantine"
BENCH = Bench(Settings(DEPLOYMENT, ROOT.public), IDENTITY.key_id, frozenset({KIND, "soft_delete_messages"}))
CLUSTER = remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages())
CLUSTER.soft_delete_messages.messages.cluster.subject = "win"


def warrant(**other: Any) -> warrant_pb2.Warrant:  # noqa: ANN401 - fields of Warrant
    """Return one that holds, but for what a test changes."""
    fields = {"remediation": quarantine("/a"), **other}
    return Center(FakeClock()).warrant(fields.pop("remediation"), **fields)


def test_a_verified_warrant_is_made_by_verify_alone() -> None:
    """Nobody else has the proof."""
    assert verify(sealed(warrant()), KEYS, BENCH).kind.name == KIND
    with pytest.raises(TypeError):
        VerifiedWarrant(warrant(), object())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"deployment": "other"}, "DEPLOYMENT_MISMATCH"),
        ({"target_key": b"x" * 32}, "TARGET_MISMATCH"),
        ({"target_key": b"", "executor_key": b"x" * 32}, "TARGET_MISMATCH"),
        ({"remediation": remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl())}, "EXECUTOR_LACKS_KIND"),
        ({"remediation": remediation_pb2.Remediation()}, "EXECUTOR_LACKS_KIND"),
        ({"remediation": CLUSTER}, "SNAPSHOT_LOST"),
        ({"issue_time": stamp(START - timedelta(days=2))}, "SEAL_INVALID"),
        ({"issue_time": stamp(START + timedelta(days=365))}, "SEAL_INVALID"),
        ({"remediation": quarantine("a")}, "WARRANT_INVALID"),
        ({"sequence": 0}, "WARRANT_INVALID"),
        ({"revert_time": stamp(START - timedelta(days=9))}, "WARRANT_INVALID"),
        ({"preview": b"\xff"}, "PREVIEW_MISMATCH"),
    ],
)
def test_what_is_not_right_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    """Each wrong thing has its own reason."""
    with pytest.raises(RefusedError) as refusal:
        verify(sealed(warrant(**changes)), KEYS, BENCH)
    assert refusal.value.failure.reason == reason


@pytest.mark.parametrize(
    "keys",
    [
        None,
        key_set_pb2.KeySet(),
        key_set_pb2.KeySet.FromString(key_set(revoked=True).body),
        key_set_pb2.KeySet.FromString(key_set(use=key_set_pb2.KEY_USE_RECOVERY).body),
        key_set_pb2.KeySet.FromString(key_set(public_key=ROOT.public).body),
    ],
)
def test_a_key_that_is_not_good_for_it_seals_nothing(keys: key_set_pb2.KeySet | None) -> None:
    """Unknown, revoked, of another use, or not the key of that id."""
    with pytest.raises(RefusedError, match="SEAL_INVALID"):
        verify(sealed(warrant()), keys, BENCH)


def test_a_seal_over_other_bytes_or_of_another_type_is_refused() -> None:
    """A signature of the centre's is worth nothing on what it did not sign."""
    broken = sealed(warrant())
    broken.body += b"\x00"
    other = CENTER.seal("quell.warrant.v1.Freeze", [warrant().SerializeToString()])[0]
    for wrong in (broken, other, sealed(warrant(), by=ROOT)):
        with pytest.raises(RefusedError, match="SEAL_INVALID"):
            verify(wrong, KEYS, BENCH)


def previewed(found: warrant_pb2.Warrant, **changes: Any) -> preview_pb2.Preview:  # noqa: ANN401 - fields of Preview
    """Return the preview that was approved for a warrant."""
    fields = {
        "action": found.action,
        "remediation": found.remediation,
        "target_key": found.target_key,
        "expire_time": found.expire_time,
        **changes,
    }
    return preview_pb2.Preview(**fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "actions/00000000-0000-4000-8000-000000000000"},
        {"remediation": quarantine("/b")},
        {"snapshot_digest": b"x" * 32},
        {"snapshot_count": 1},
        {"max_items": 1},
        {"target_key": b"x" * 32},
        {"undo_of": "actions/00000000-0000-4000-8000-000000000000"},
        {"revert_time": stamp(START)},
        {"expire_time": stamp(START)},
    ],
)
def test_a_warrant_says_what_was_previewed(changes: dict[str, Any]) -> None:
    """The same is verified; with any field another, or a later end, it isn't."""
    found = warrant()
    found.preview = previewed(found).SerializeToString()
    assert verify(sealed(found), KEYS, BENCH).action == found.action
    found.preview = previewed(found, **changes).SerializeToString()
    with pytest.raises(RefusedError, match="PREVIEW_MISMATCH"):
        verify(sealed(found), KEYS, BENCH)


def approval(found: warrant_pb2.Warrant, key: SealKey, name: str, **changes: Any) -> None:  # noqa: ANN401
    """Add an approval to a warrant."""
    fields = {
        "preview_digest": hashlib.sha256(found.preview).digest(),
        "approver": name,
        "time": stamp(START),
        "expire_time": stamp(START + timedelta(hours=1)),
        "deployment": DEPLOYMENT,
        **changes,
    }
    body = approval_pb2.Approval(**fields).SerializeToString()
    found.approvals.append(key.seal("quell.warrant.v1.Approval", [body])[0])


@pytest.mark.parametrize(
    ("key", "name", "changes", "counts"),
    [
        (BOB, "bob", {}, True),
        (SPARE, "bob", {}, True),
        (ANN, "ann", {}, False),
        (ROOT, "bob", {}, False),
        (ANN, "bob", {}, False),
        (BOB, "bob", {"expire_time": stamp(START)}, False),
        (BOB, "bob", {"preview_digest": b"x" * 32}, False),
        (BOB, "bob", {"deployment": "other"}, False),
    ],
)
def test_approvals_are_counted_by_the_keys_that_we_were_given(
    key: SealKey, name: str, changes: dict[str, Any], *, counts: bool
) -> None:
    """Two different people must have sealed this very preview, in time, each with an own key."""
    bench = Bench(Settings(DEPLOYMENT, ROOT.public, quorums={KIND: QUORUM}), IDENTITY.key_id, BENCH.kinds)
    found = warrant()
    found.preview = previewed(found).SerializeToString()
    approval(found, ANN, "ann")
    with pytest.raises(RefusedError, match="APPROVALS_MISSING"):
        verify(sealed(found), KEYS, bench)
    approval(found, key, name, **changes)
    if counts:
        assert verify(sealed(found), KEYS, bench).action == found.action
    else:
        with pytest.raises(RefusedError, match="APPROVALS_MISSING"):
            verify(sealed(found), KEYS, bench)


def test_what_was_shown_without_its_action_is_no_approval_of_any() -> None:
    """It would be one of every action that does the same."""
    bench = Bench(Settings(DEPLOYMENT, ROOT.public, quorums={KIND: QUORUM}), IDENTITY.key_id, BENCH.kinds)
    found = warrant()
    found.preview = previewed(found, action="").SerializeToString()
    approval(found, ANN, "ann")
    approval(found, BOB, "bob")
    with pytest.raises(RefusedError, match="APPROVALS_MISSING"):
        verify(sealed(found), KEYS, bench)


def test_an_undo_counts_as_the_inverse_kind() -> None:
    """What lets go needs its own quorum, and not that of what it takes back."""
    back = warrant(undo_of="actions/00000000-0000-4000-8000-000000000000")
    for kind, refused in ((KIND, False), ("release_from_quarantine", True)):
        settings = Settings(DEPLOYMENT, ROOT.public, quorums={kind: QUORUM})
        bench = Bench(settings, IDENTITY.key_id, BENCH.kinds)
        if refused:
            with pytest.raises(RefusedError, match="APPROVALS_MISSING"):
                verify(sealed(back), KEYS, bench)
        else:
            assert verify(sealed(back), KEYS, bench).warrant.undo_of


@pytest.mark.parametrize(
    ("needed", "approvers"),
    [
        ({"make_coffee": 1}, {"ann": [ANN.public.hex()]}),
        ({KIND: 0}, {"ann": [ANN.public.hex()]}),
        ({KIND: 2}, {"ann": [ANN.public.hex(), BOB.public.hex()]}),
        ({KIND: 1}, {"ann": ["abc"]}),
        ({KIND: 1}, {"ann": [ANN.public.hex()], "bob": [ANN.public.hex()]}),
    ],
)
def test_a_quorum_that_can_not_be_met_is_refused(needed: dict[str, int], approvers: dict[str, list[str]]) -> None:
    """Unknown kinds, no number, more than there are people, no key, one key for two."""
    with pytest.raises(InvalidError):
        quorums_of(needed, approvers)
    assert quorums_of({KIND: 1}, {"ann": [ANN.public.hex()]}) == {KIND: Quorum(1, {ANN.public: "ann"})}


async def test_an_unverifiable_warrant_is_answered_with_its_digest_and_once(house: House) -> None:
    """REFUSED by the digest of what came; the same bytes come to the same, even when they would hold by now."""
    house.world.files = {"/a": content("bad")}
    house.say(key_set=key_set(2, revoked=True))
    found = house.center.warrant(quarantine("/a"))
    house.send(found)
    refused = await house.receipt(found)
    assert (refused.disposition, refused.failure.reason) == (receipt_pb2.DISPOSITION_REFUSED, "SEAL_INVALID")
    assert refused.warrant_digest == hashlib.sha256(found.SerializeToString()).digest()
    house.say(key_set=key_set(3))
    house.send(found)
    await house.until(lambda: len(house.center.receipts) == 2)
    assert len(house.center.of(found.action)) == 1
    assert house.world.changes == []


async def test_a_forged_warrant_does_not_block_the_true_one(house: House) -> None:
    """Whoever sends rubbish under the name of an action takes nothing from it."""
    house.world.files = {"/a": content("bad")}
    found = house.center.warrant(quarantine("/a"))
    house.say(warrants={"warrants": [sealed(house.center.warrant(quarantine("/b"), action=found.action), by=ROOT)]})
    await house.receipt(found)
    house.send(found)
    await house.until(lambda: len(house.center.of(found.action)) == 2)
    assert house.world.changes == ["take /a"]


async def test_a_clock_that_is_far_behind_begins_nothing(house: House) -> None:
    """More than five minutes behind the newest sealed time: CLOCK_BEHIND, which may be tried again."""
    house.world.files = {"/a": content("bad")}
    found = house.center.warrant(quarantine("/a"))
    found.issue_time.CopyFrom(stamp(START + timedelta(minutes=6)))
    house.send(found)
    refused = await house.receipt(found)
    assert (refused.failure.reason, refused.failure.retryable) == ("CLOCK_BEHIND", True)
    assert house.world.changes == []


async def test_the_executors_time_is_the_newest_that_it_has_seen(house: House) -> None:
    """A warrant that is past its end by what was sealed or journaled is expired, whatever the own clock says."""
    house.world.files = {"/a": content("bad")}
    late = house.center.warrant(quarantine("/b"))
    late.issue_time.CopyFrom(stamp(START + timedelta(minutes=4)))
    house.send(late)
    await house.receipt(late)
    await house.again()
    receipt = await house.carry_out(quarantine("/a"), expires=timedelta(minutes=3))
    assert receipt.disposition == receipt_pb2.DISPOSITION_EXPIRED


async def test_own_limits_can_not_be_lifted_by_a_server(tmp_path: Path) -> None:
    """A cap on a kind in an hour, and what is protected; undo is not limited."""
    settings = Settings(
        DEPLOYMENT,
        ROOT.public,
        max_effects_per_hour={KIND: 1},
        protected=frozenset({"device.path:/boot"}),
    )
    house = House(tmp_path, settings)
    house.world.files = {"/boot": content("bad"), "/a": content("bad"), "/b": content("ugly")}
    await house.move_in()
    await house.connect()
    first = await house.carry_out(quarantine(name="bad"))
    assert (first.outcome.items.done_items, first.outcome.items.refused_items) == (1, 1)
    second = await house.carry_out(quarantine("/b"))
    assert (second.failure.reason, second.failure.retryable) == ("CAP_EXCEEDED", True)
    await house.carry_out(quarantine(name="bad"), undo_of=first.action)
    assert house.world.changes == ["take /a", "back /a"]
    house.clock.advance(timedelta(hours=1))
    await house.carry_out(quarantine("/b"))
    assert house.world.changes[-1] == "take /b"
    await house.crash()
