"""An attachment is out of every copy of a message, which is otherwise as it was; and back exactly, or not at all."""

import email
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import Message
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, item_pb2

from attachments import Attachments, attachments, of_cluster, of_message
from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, REFUSED, do, undo
from mail_deaths import Crash, CrashError
from mail_tree import ATTACHMENT, CAMPAIGN, MailTree, ordinary, sha256
from quarantine import KEEP, all_seen, seen
from quell_email.domain.exclusions import Exclusions
from quell_email.effects.attachment_record import AttachmentRecord
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_attachment import QuarantineAttachment
from quell_email.effects.quarantine_messages import QuarantineMessages
from quell_email.effects.replacing import KIND
from quell_email.effects.restore_attachment import RestoreAttachment
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.effects.taking import Taking
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser
from quell_email.vault.records import KeptState
from quell_executor.contract import EffectContract, World
from quell_executor.effect import Owned, Plan

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
DIGEST = sha256(CAMPAIGN)
OTHER = ACTION[:-1] + "2"
PDF = {"sha256": ATTACHMENT}
EVERYWHERE = of_cluster(PDF, sender_domain="evil.example")
HTML = hashlib.sha256(
    b'<p>Look <a href="https://evil.example/%6cogin?u=1&amp;x=2">here</a>.</p>',
).hexdigest()


@pytest.fixture
async def house(tree: MailTree, parser: Parser, tmp_path: Path) -> AsyncIterator[Attachments]:
    """Return the effect over the tree."""
    async with attachments(Maildirs(tree.pattern, Index(parser)), parser, tmp_path / "vault") as found:
        yield found


def contents_of(raw: bytes) -> set[str]:
    """Return the digests of all decoded parts, by another reader than ours."""
    found = email.message_from_bytes(raw).walk()
    payloads = [part.get_payload(decode=True) for part in found if not part.is_multipart()]
    return {hashlib.sha256(payload).hexdigest() for payload in payloads if isinstance(payload, bytes)}


def in_sight(tree: MailTree) -> dict[str, list[bytes]]:
    """Return the bytes of every message in sight, by mailbox."""
    return {address: [raw for raw, *_ in tree.photograph(address).messages.values()] for address in ALL}


def assert_out_of_every_copy(tree: MailTree, before: dict[str, Counter[object]]) -> None:
    """See that no message has the attachment any more, and that all else of every mailbox is as it was."""
    for address, messages in in_sight(tree).items():
        assert not any(ATTACHMENT in contents_of(raw) for raw in messages)
        changed = [raw for raw in messages if b"X-Quell" in raw]
        plain = Counter({key: number for key, number in before[address].items() if CAMPAIGN not in tuple(key)})  # type: ignore[arg-type]
        assert seen(tree, address) - plain == _with(before[address] - plain, changed[0] if changed else b"")


def _with(copies: Counter[object], raw: bytes) -> Counter[object]:
    """Return copies as they are to look with other bytes: folder, flags, dates, owners and keywords stay."""
    found: Counter[object] = Counter()
    for key, number in copies.items():
        assert isinstance(key, tuple)
        found[tuple(raw if part == CAMPAIGN else part for part in key)] += number
    return found


async def test_it_is_out_of_all_copies_in_all_mailboxes(tree: MailTree, house: Attachments) -> None:
    """Whether new, flagged or filed away, sent ones too; the other part, headers, flags and dates stay."""
    tree.deliver(ALL[0], CAMPAIGN, folder="Sent", flags="S", base="8.sent", mtime=1_763_000_000.5)
    before = all_seen(tree)
    run = await do(house.effect, EVERYWHERE)
    assert (run.before, run.after) == ([PLANNED] * 3, [DONE] * 3)
    assert_out_of_every_copy(tree, before)
    assert [item.key for item in run.plan.items] == [f"email.message:{address}:{DIGEST}" for address in ALL]
    (changed,) = {raw for messages in in_sight(tree).values() for raw in messages if b"X-Quell" in raw}
    after, old = email.message_from_bytes(changed), email.message_from_bytes(CAMPAIGN)
    assert [item for item in after.items() if item[0] != "X-Quell"] == old.items()
    kept, was = after.get_payload(0), old.get_payload(0)
    assert isinstance(kept, Message)
    assert isinstance(was, Message)
    assert kept.as_bytes() == was.as_bytes()
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert all_seen(tree) == before
    assert list((tree.base.parent / "vault/contents").iterdir()) == []


async def test_control_with_the_effect_off_the_same_check_fails(tree: MailTree, house: Attachments) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    before = all_seen(tree)
    plan = await house.effect.plan(EVERYWHERE, None)
    assert [finding.state for finding in await house.effect.probe(plan)] == [PLANNED] * 3
    with pytest.raises(AssertionError):
        assert_out_of_every_copy(tree, before)
    assert all_seen(tree) == before


@pytest.mark.parametrize(
    ("order", "count"),
    [
        (of_cluster({"file_name": "bill.pdf"}, sender_domain="evil.example"), 3),
        (of_cluster({"part": "2"}, subject="your salary €"), 3),
        (of_cluster(PDF, attachment_sha256=ATTACHMENT), 3),
        (of_cluster(PDF, attachment_sha256=HTML), 3),
        (of_cluster(PDF, attachment_sha256=sha256(b"another")), 0),
        (of_cluster({"file_name": "bill.exe"}, sender_domain="evil.example"), 0),
        (of_message(PDF, ALL[1], sha256=DIGEST), 1),
        (of_message(PDF, sha256=DIGEST), 3),
        (of_message({"file_name": "bill.pdf"}, message_id="campaign-1@evil.example"), 3),
    ],
)
async def test_each_way_to_tell_it_finds_it_before_and_after(
    house: Attachments, order: email_pb2.QuarantineAttachment, count: int
) -> None:
    """By content, name and number; asked again, all of it is done already."""
    run = await do(house.effect, order)
    assert run.after == [DONE] * count
    again = await do(house.effect, order, action=OTHER)
    assert again.before == [DONE] * count
    assert {item.key for item in again.plan.items} == {item.key for item in run.plan.items}


async def test_a_message_without_it_is_told_only_where_it_is_named(tree: MailTree, house: Attachments) -> None:
    """Named, and not there: MISSING; the cluster's others are not meant."""
    tree.deliver(ALL[0], CAMPAIGN.replace(b"SSBh", b"SSBi"), base="7.other")
    before = all_seen(tree)
    order = of_message(PDF, ALL[0], sha256=sha256(CAMPAIGN.replace(b"SSBh", b"SSBi")))
    run = await do(house.effect, order)
    assert (run.after, run.reasons) == ([MISSING], ["ATTACHMENT_NOT_FOUND"])
    assert (await do(house.effect, of_message(PDF, ALL[0], sha256="0" * 64))).reasons == [""]
    assert all_seen(tree) == before
    assert len((await house.effect.plan(EVERYWHERE, None)).items) == 3


SIGNED = CAMPAIGN.replace(b"multipart/mixed", b"multipart/signed")
BOMB = CAMPAIGN.replace(b'; boundary="xyz"', b"")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (SIGNED, "MESSAGE_SIGNED"),
        (CAMPAIGN.replace(b"multipart/mixed", b"multipart/encrypted"), "MESSAGE_ENCRYPTED"),
        (CAMPAIGN + b"--xyz\r\n\r\nmore\r\n--xyz--\r\n", "STRUCTURE_AMBIGUOUS"),
        (BOMB, "MESSAGE_UNPARSABLE"),
    ],
)
async def test_what_cant_be_changed_exactly_is_refused_and_stays(
    tree: MailTree, house: Attachments, raw: bytes, reason: str
) -> None:
    """With its reason, in the preview's notes too; the others are done."""
    tree.deliver(ALL[0], raw, base="7.odd")
    before = seen(tree, ALL[0])
    run = await do(house.effect, of_cluster({"file_name": "bill.pdf"}, sender_domain="evil.example"))
    assert sorted(zip(run.after, run.reasons, strict=True)) == [(DONE, "")] * 3 + [(REFUSED, reason)]
    assert reason in " ".join(run.plan.notes)
    assert not [key for key in before - seen(tree, ALL[0]) if isinstance(key, tuple) and raw in key]
    again = await do(house.effect, EVERYWHERE, [item.item for item in run.plan.items])
    assert sorted(again.after) == [DONE] * 3 + [REFUSED]
    assert (await undo(house.effect, run.plan)).after.count(DONE) == 4
    assert seen(tree, ALL[0]) == before


async def test_the_preview_tells_what_becomes_of_signatures(tree: MailTree, house: Attachments) -> None:
    """How many say that they cover what is changed."""
    assert (await house.effect.plan(EVERYWHERE, None)).notes == ()
    for length, base in ((b"", "5.dkim"), (b" l=9;", "6.dkim"), (b" l=0;", "7.dkim")):
        tree.deliver(ALL[0], b"DKIM-Signature: v=1;" + length + b" b=x\r\n" + CAMPAIGN, base=base)
    notes = (await house.effect.plan(EVERYWHERE, None)).notes
    assert [note.partition(" carry")[0] for note in notes] == ["1 of these"] * 2
    assert "will not verify" in notes[0]
    assert "may not verify" in notes[1]


async def test_it_goes_back_to_where_the_changed_copies_are_now(tree: MailTree, house: Attachments) -> None:
    """Moved, flagged and copied meanwhile: each place has the message as it was; a deleted copy does not come back."""
    run = await do(house.effect, EVERYWHERE)
    (old,) = (path for path in tree.root(ALL[0]).rglob("*.quell*") if path.parent.name in ("new", "cur"))
    changed = old.read_bytes()
    old.unlink()
    tree.deliver(ALL[0], changed, folder="Archive", flags="FS", base="5.moved", mtime=1_763_111_111.5)
    tree.deliver(ALL[0], changed, folder="Work", flags="", base="6.moved", mtime=1_763_111_112.5)
    there = seen(tree, ALL[0])
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert seen(tree, ALL[0]) == Counter(
        {tuple(CAMPAIGN if part == changed else part for part in key): n for key, n in there.items()}  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize(
    ("way", "reason"),
    [("deleted", "MESSAGE_GONE"), ("edited", "MESSAGE_EDITED"), ("soft", "MESSAGE_HELD"), ("kept", "MESSAGE_HELD")],
)
async def test_what_is_no_longer_as_we_left_it_is_a_conflict(
    tree: MailTree, house: Attachments, effect: SoftDeleteMessages, parser: Parser, way: str, reason: str
) -> None:
    """Nothing is changed, and the reason says what it is; what holds it back can be let go, and then it goes."""
    before = all_seen(tree)
    run = await do(house.effect, EVERYWHERE)
    (changed,) = (path for path in tree.root(ALL[0]).rglob("*.quell*") if path.parent.name in ("new", "cur"))
    digest = sha256(changed.read_bytes())
    soft = email_pb2.SoftDeleteMessages(messages=of_message(PDF, ALL[0], sha256=digest).messages)
    if way == "deleted":
        changed.unlink()
    elif way == "edited":
        changed.write_bytes(changed.read_bytes() + b"PS")
    elif way == "soft":
        held = await do(effect, soft)
    else:
        taking = Taking(house.mailboxes, house.vault, parser, house.clock)
        other = QuarantineMessages(taking, Choosing(house.mailboxes), house.clock, KEEP)
        await do(other, email_pb2.QuarantineMessages(messages=soft.messages))
    after = all_seen(tree)
    items = tuple(item for item in run.plan.items if ALL[0] in item.key)
    found = await undo(house.effect, replace(run.plan, items=items))
    assert (found.after, found.reasons) == ([CONFLICT], [reason])
    assert all_seen(tree) == after
    if way == "soft":
        assert (await undo(effect, held.plan)).after == [DONE]
        assert (await undo(house.effect, run.plan)).after == [DONE] * 3
        assert all_seen(tree) == before


async def test_two_attachments_come_back_the_last_first(tree: MailTree, house: Attachments) -> None:
    """What a newer action took out is put back first; the message is found by what it was before the first, too."""
    before = all_seen(tree)
    first = await do(house.effect, EVERYWHERE)
    other = of_message({"part": "1"}, ALL[0], sha256=DIGEST)
    second = await do(house.effect, other, action=OTHER)
    assert (second.before, second.after) == ([PLANNED], [DONE])
    assert (await do(house.effect, EVERYWHERE, action=OTHER)).before == [DONE] * 3
    refused = await undo(house.effect, first.plan)
    assert sorted(zip(refused.after, refused.reasons, strict=True)) == [
        (DONE, ""),
        (DONE, ""),
        (CONFLICT, "NOT_THE_NEWEST"),
    ]
    assert (await undo(house.effect, second.plan)).after == [DONE]
    assert (await undo(house.effect, first.plan)).after == [DONE] * 3
    assert all_seen(tree) == before


async def test_a_copy_of_another_delivery_is_neither_lost_nor_doubled(tree: MailTree, house: Attachments) -> None:
    """The same bytes again, after the first was changed: changed as well; put back, both are there."""
    first = await do(house.effect, EVERYWHERE)
    tree.deliver(ALL[0], CAMPAIGN, flags="", base="7.late", mtime=1_700_000_002.5)
    late = seen(tree, ALL[0])
    second = await do(house.effect, EVERYWHERE, action=OTHER)
    assert second.before == [PLANNED, DONE, DONE]
    assert_out_of_every_copy(tree, all_seen(tree))
    assert sum(seen(tree, ALL[0]).values()) == sum(late.values())
    assert (await undo(house.effect, second.plan)).after == [DONE] * 3
    assert (await undo(house.effect, first.plan)).before == [DONE] * 3
    assert sum(CAMPAIGN in key for key in seen(tree, ALL[0]).elements()) == 2  # type: ignore[operator]


async def test_messages_that_write_one_attachment_in_two_ways_stay_two(tree: MailTree, house: Attachments) -> None:
    """Without it they would be the same bytes; each comes back as it was."""
    tree.deliver(ALL[0], CAMPAIGN.replace(b"SSBhbSBubyBQREYu", b"SSBhbSBu\r\nbyBQREYu"), base="7.other")
    before = all_seen(tree)
    run = await do(house.effect, EVERYWHERE)
    assert run.after == [DONE] * 4
    assert len({raw for raw in in_sight(tree)[ALL[0]] if b"X-Quell" in raw}) == 2
    assert (await undo(house.effect, run.plan)).after == [DONE] * 4
    assert all_seen(tree) == before


async def test_a_message_that_is_too_large_is_refused(tree: MailTree, house: Attachments) -> None:
    """Nobody has looked into it, so nobody can tell."""
    path = tree.deliver(ALL[0], CAMPAIGN + b"x" * (64 << 20), base="7.large")
    order = of_message({"file_name": "bill.pdf"}, ALL[0], message_id="campaign-1@evil.example")
    run = await do(house.effect, order)
    assert sorted(zip(run.after, run.reasons, strict=True)) == [(DONE, ""), (REFUSED, "MESSAGE_TOO_LARGE")]
    assert path.exists()


async def test_what_was_redelivered_before_undo_stays(tree: MailTree, house: Attachments) -> None:
    """A copy of the original that came later is none of those that come back."""
    before = seen(tree, ALL[0])
    run = await do(house.effect, EVERYWHERE)
    tree.deliver(ALL[0], CAMPAIGN, flags="", base="7.late", mtime=1_700_000_002.5)
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert sum(seen(tree, ALL[0]).values()) == sum(before.values()) + 1


async def test_what_is_excluded_or_soft_deleted_is_refused(
    tree: MailTree, house: Attachments, effect: SoftDeleteMessages
) -> None:
    """By rule, or because it is out of sight already."""
    choosing = Choosing(house.mailboxes, Exclusions(frozenset({ALL[0]})))
    held = email_pb2.SoftDeleteMessages(messages=of_message(PDF, ALL[1], sha256=DIGEST).messages)
    assert (await do(effect, held)).after == [DONE]
    before = all_seen(tree)
    run = await do(QuarantineAttachment(house.replacing, choosing, KEEP), EVERYWHERE)
    assert run.reasons == ["EXCLUDED_MAILBOX", "MESSAGE_SOFT_DELETED", ""]
    assert run.after == [REFUSED, REFUSED, DONE]
    assert [all_seen(tree)[address] == before[address] for address in ALL] == [True, True, False]


async def test_what_was_purged_says_so(tree: MailTree, house: Attachments) -> None:
    """After its time the notice stands for good."""
    run = await do(house.effect, EVERYWHERE)
    house.clock.advance(KEEP - timedelta(seconds=1))
    assert await house.vault.purge() == 0
    house.clock.advance(timedelta(seconds=1))
    assert await house.vault.purge() == 3
    after = all_seen(tree)
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([MISSING] * 3, ["ATTACHMENT_PURGED"] * 3)
    assert [finding.state for finding in await house.effect.probe(run.plan)] == [DONE] * 3
    assert all_seen(tree) == after


async def test_a_lost_or_changed_content_is_never_put_into_a_message(tree: MailTree, house: Attachments) -> None:
    """A conflict, or not as ordered; the message stays as it is."""
    before = all_seen(tree)
    run = await do(house.effect, EVERYWHERE)
    after = all_seen(tree)
    (locked,) = (tree.base.parent / "vault/contents").iterdir()
    whole = locked.read_bytes()
    locked.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert (await undo(house.effect, run.plan)).after == [PLANNED] * 3
    locked.unlink()
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([CONFLICT] * 3, ["CONTENT_LOST"] * 3)
    assert all_seen(tree) == after
    locked.write_bytes(whole)
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert all_seen(tree) == before


async def test_marks_alone_put_each_back_exactly(tree: MailTree, house: Attachments) -> None:
    """One a message: who took it out, what would, and an item that undo puts back with."""
    before = all_seen(tree)
    assert await house.effect.marks() == []
    run = await do(house.effect, EVERYWHERE)
    marks = await house.effect.marks()
    assert {mark.item.key for mark in marks} == {item.key for item in run.plan.items}
    assert {mark.action for mark in marks} == {ACTION}
    again = [await house.effect.plan(mark.remediation.quarantine_attachment, None) for mark in marks]
    assert [item.key for plan in again for item in plan.items] == [mark.item.key for mark in marks]
    plan = Plan(tuple(mark.item for mark in marks), frozenset(), action=ACTION)
    assert [finding.state for finding in await house.effect.probe(plan)] == [DONE] * 3
    assert (await undo(house.effect, plan)).after == [DONE] * 3
    assert all_seen(tree) == before
    assert await house.effect.marks() == []
    assert {kept.state for kept in await house.vault.of(KIND, [item.key for item in plan.items])} == {
        KeptState.RELEASED
    }


async def test_what_is_on_no_list_is_not_touched(tree: MailTree, house: Attachments) -> None:
    """A newcomer after the preview stays; what was moved is found again by its digest."""
    listed = [item.item for item in (await house.effect.plan(EVERYWHERE, None)).items]
    late = b"X-Late: yes\r\n" + CAMPAIGN
    tree.deliver(ALL[1], late, base="8.late")
    (tree.root(ALL[0]) / "new/1.camp").rename(tree.folder(ALL[0], "Archive") / "cur/1.camp:2,S")
    assert (await do(house.effect, EVERYWHERE, listed)).after == [DONE] * 3
    assert late in in_sight(tree)[ALL[1]]


def test_restore_chooses_by_action_and_mailbox() -> None:
    """All that the action touched, or only in some mailboxes."""
    release, order = RestoreAttachment(), email_pb2.RestoreAttachment(action=f"actions/{ACTION}")
    item = item_pb2.Item(message=item_pb2.MessageItem(mailbox=f"mailboxes/{ALL[0]}", folder="INBOX", sha256=DIGEST))
    owned = Owned(f"actions/{ACTION}", "k", item)
    assert release.chooses(order, owned)
    assert not release.chooses(order, replace(owned, action=f"actions/{OTHER}"))
    order.mailboxes.append(f"mailboxes/{ALL[1]}")
    assert not release.chooses(order, owned)


@pytest.fixture
def twins(tree: MailTree) -> MailTree:
    """Return a tree with two copies of the campaign in one mailbox."""
    tree.deliver(ALL[0], CAMPAIGN, folder="Archive", flags="R", base="5.more", mtime=1_700_000_000.5)
    return tree


ONE = of_message(PDF, ALL[0], sha256=DIGEST)
EXCHANGE = [
    ("maildir.added", 1),
    ("maildir.added", 2),
    ("attachment.added", 1),
    ("maildir.removed", 1),
    ("maildir.removed", 2),
    ("attachment.removed", 1),
]


def assert_each_is_whole(tree: MailTree, changed: str) -> None:
    """See that every copy is the message as it was or as it becomes, and never fewer than there were."""
    plain = {sha256(ordinary(0)), sha256(ordinary(10))}
    there = [sha256(raw) for raw in in_sight(tree)[ALL[0]]]
    assert set(there) - plain <= {DIGEST, changed}
    assert len(there) >= 4


@pytest.mark.parametrize(("place", "time"), [("vault.written", 1), ("attachment.kept", 1), *EXCHANGE])
@pytest.mark.parametrize("moved", [False, True])
async def test_a_crash_while_taking_loses_and_doubles_nothing(
    twins: MailTree,
    parser: Parser,
    tmp_path: Path,
    place: str,
    time: int,
    moved: bool,  # noqa: FBT001 - a case
) -> None:
    """At each step; then its user flags what is left, the whole is done again, and undone: all copies, each once."""
    before = all_seen(twins)
    mailboxes = Maildirs(twins.pattern, Index(parser), dying := Crash(time, place))
    with pytest.raises(CrashError):
        async with attachments(mailboxes, parser, tmp_path / "vault", point=dying) as house:
            await do(house.effect, ONE)
    if moved:
        for path in twins.root(ALL[0]).rglob("5.more:2,R"):
            path.rename(path.with_name("5.more:2,RS"))
    async with attachments(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        run = await do(house.effect, ONE)
        assert run.after == [DONE]
        kept = await house.vault.held(KIND)
        assert_each_is_whole(twins, AttachmentRecord.load(kept[0].before).changed)
        assert len(in_sight(twins)[ALL[0]]) == 4
        assert (await undo(house.effect, run.plan)).after == [DONE]
    if moved:
        assert sorted(in_sight(twins)[ALL[0]]) == sorted([CAMPAIGN, CAMPAIGN, ordinary(0), ordinary(10)])
    else:
        assert all_seen(twins) == before


@pytest.mark.parametrize(("place", "time"), EXCHANGE)
async def test_a_crash_while_putting_back_loses_and_doubles_nothing(
    twins: MailTree, parser: Parser, tmp_path: Path, place: str, time: int
) -> None:
    """At each step: every copy is the one or the other; done again, all are as before, each once."""
    before = all_seen(twins)
    async with attachments(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        run = await do(house.effect, ONE)
        (kept,) = await house.vault.held(KIND)
    mailboxes = Maildirs(twins.pattern, Index(parser), dying := Crash(time, place))
    with pytest.raises(CrashError):
        async with attachments(mailboxes, parser, tmp_path / "vault", point=dying) as house:
            await undo(house.effect, run.plan)
    assert_each_is_whole(twins, AttachmentRecord.load(kept.before).changed)
    async with attachments(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        assert (await undo(house.effect, run.plan)).after == [DONE]
        assert await house.vault.held(KIND) == []
    assert all_seen(twins) == before


@dataclass
class Campaign:
    """A campaign in three mailboxes."""

    tree: MailTree
    effect: QuarantineAttachment
    order: email_pb2.QuarantineAttachment

    async def look(self) -> object:
        """Return what the users see."""
        return all_seen(self.tree)

    async def disturb(self) -> None:
        """Delete a changed message, as its user would."""
        for path in self.tree.root(ALL[0]).rglob("*.quell*"):
            path.unlink()


class TestQuarantineAttachment(EffectContract):
    """Every check of the suite, over real trees and a real vault."""

    @pytest.fixture
    def world(self, tree: MailTree, house: Attachments) -> World:
        """Make the world of one check."""
        return Campaign(tree, house.effect, EVERYWHERE)
