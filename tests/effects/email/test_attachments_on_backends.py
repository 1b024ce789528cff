"""Taking attachments out does on every backend alike: each test runs on Maildir trees and on a real IMAP server."""

import contextlib
import email
import hashlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2

from attachments import Attachments, attachments, of_cluster, of_message
from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, Silent, carry_out, do, undo
from mail_deaths import Crash, CrashError, Killing
from mail_lab import MailLab
from mail_tree import ATTACHMENT, CAMPAIGN, ordinary, sha256
from mail_worlds import ALL, ANN, BOB, CLEO, DATE, ImapWorld, MailWorld, Seen, crlf
from quarantine import KEEP
from quell_email.effects.attachment_record import AttachmentRecord
from quell_email.effects.quarantine_attachment import QuarantineAttachment
from quell_email.effects.replacing import KIND
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.imap.backend import ImapMailboxes
from quell_email.imap.index import Index as ImapIndex
from quell_email.parsing.parser import Parser
from quell_executor.contract import EffectContract, World
from quell_executor.effect import RefusedError

DIGEST = sha256(CAMPAIGN)
PDF = {"sha256": ATTACHMENT}
EVERYWHERE = of_cluster(PDF, sender_domain="evil.example")
COPY = Seen("INBOX", CAMPAIGN, ("\\Flagged", "\\Seen"), ("$Junk", "Work"), DATE + 2800)
NOTE = Seen("INBOX", crlf(ordinary(1)), ("\\Seen",), ())
SENT = Seen("Sent", CAMPAIGN, ("\\Seen",), (), DATE + 9)
TWINS = (Seen("INBOX", CAMPAIGN), Seen("Archive", CAMPAIGN, ("\\Answered",), ("Work",), DATE + 5))
Boxes = dict[str, list[Seen]]


def boxes(mail: MailWorld) -> Boxes:
    """Return what the users see."""
    return {address: mail.see(address) for address in ALL}


@pytest.fixture
def campaign(mail: MailWorld) -> Boxes:
    """Honest mail and one campaign in three mailboxes: unread, read and flagged with keywords, filed away, sent."""
    mail.deliver(ANN, NOTE, Seen("INBOX", CAMPAIGN))
    mail.deliver(BOB, NOTE, COPY, Seen("Archive", crlf(ordinary(2)), ("\\Answered", "\\Seen"), ("Work",)))
    mail.deliver(CLEO, NOTE, SENT, Seen("Work/2026", CAMPAIGN, ("\\Answered", "\\Draft")))
    return boxes(mail)


@pytest.fixture
async def house(mail: MailWorld, parser: Parser, tmp_path: Path) -> AsyncIterator[Attachments]:
    """Return the effect over the backend."""
    async with attachments(mail.mailboxes, parser, tmp_path / "vault") as found:
        yield found


def has_it(raw: bytes) -> bool:
    """Tell whether a message has the attachment, by another reader than ours."""
    payloads = [part.get_payload(decode=True) for part in email.message_from_bytes(raw).walk()]
    return ATTACHMENT in [hashlib.sha256(each).hexdigest() for each in payloads if isinstance(each, bytes)]


def only_it_is_gone(mail: MailWorld, before: Boxes) -> bool:
    """Hold every mailbox against how it was: the same places, flags, keywords and dates, and nobody has it."""
    now = boxes(mail)
    (changed,) = {one.raw for seen in now.values() for one in seen if b"X-Quell" in one.raw} or {CAMPAIGN}
    as_it_should_be = {
        address: sorted(replaced(one, changed) if one.raw == CAMPAIGN else one for one in seen)
        for address, seen in before.items()
    }
    return now == as_it_should_be and not any(has_it(one.raw) for seen in now.values() for one in seen)


def replaced(seen: Seen, raw: bytes) -> Seen:
    """Return a message in the same place with other bytes."""
    return seen._replace(raw=raw)


def changed_of(mail: MailWorld, address: str) -> bytes:
    """Return the message with the notice."""
    return next(one.raw for one in mail.see(address) if b"X-Quell" in one.raw)


@dataclass
class Campaign:
    """A campaign in three mailboxes."""

    mail: MailWorld
    effect: QuarantineAttachment
    order: email_pb2.QuarantineAttachment

    async def look(self) -> object:
        """Return what the users see."""
        return boxes(self.mail)

    async def disturb(self) -> None:
        """Delete a changed message."""
        self.mail.delete(ANN, changed_of(self.mail, ANN))


class TestQuarantineAttachment(EffectContract):
    """Every check of the kit's suite."""

    @pytest.fixture
    def world(self, mail: MailWorld, house: Attachments, campaign: Boxes) -> World:
        """Make the world of one check."""
        assert campaign
        return Campaign(mail, house.effect, EVERYWHERE)


async def test_it_goes_out_of_all_copies_and_comes_back_exactly(
    mail: MailWorld, house: Attachments, campaign: Boxes
) -> None:
    """In one mailbox first, then in all: bytes, folder, flags, keywords and date. Twice is not needed, both ways."""
    run = await do(house.effect, EVERYWHERE)
    assert (run.before, run.after) == ([PLANNED] * 3, [DONE] * 3)
    assert only_it_is_gone(mail, campaign)
    again = await do(house.effect, EVERYWHERE, action=str(uuid.uuid4()))
    assert again.before == [DONE] * 3
    assert (await undo(house.effect, replace(run.plan, items=run.plan.items[1:2]))).after == [DONE]
    assert mail.see(BOB) == campaign[BOB]
    back = await undo(house.effect, run.plan)
    assert (back.before, back.after) == ([PLANNED, DONE, PLANNED], [DONE] * 3)
    assert boxes(mail) == campaign
    assert (await undo(house.effect, run.plan)).before == [DONE] * 3


async def test_control_with_the_effect_off_the_same_check_fails(
    mail: MailWorld, house: Attachments, campaign: Boxes
) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    assert len((await house.effect.plan(EVERYWHERE, None)).items) == 3
    assert not only_it_is_gone(mail, campaign)
    assert boxes(mail) == campaign
    assert await house.vault.held(KIND) == []


async def test_it_comes_back_where_the_changed_copy_is_now(
    mail: MailWorld, house: Attachments, campaign: Boxes
) -> None:
    """Filed elsewhere by its user meanwhile, and its old folder renamed."""
    run = await do(house.effect, EVERYWHERE)
    mail.file(BOB, changed_of(mail, BOB), "INBOX", "Archive")
    mail.rename(CLEO, "Work/2026", "Work/Done")
    there = boxes(mail)
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert boxes(mail) == {
        address: sorted(replaced(one, CAMPAIGN) if b"X-Quell" in one.raw else one for one in seen)
        for address, seen in there.items()
    }
    assert sum(one.raw == CAMPAIGN for one in mail.see(CLEO)) == 2
    assert campaign[ANN] == mail.see(ANN)


@pytest.mark.parametrize("way", ["gone", "edited", "held"])
async def test_what_is_no_longer_as_we_left_it_is_a_conflict(
    mail: MailWorld, house: Attachments, campaign: Boxes, way: str
) -> None:
    """That one is left as it is, with its reason; the others are put back."""
    run = await do(house.effect, EVERYWHERE)
    changed = changed_of(mail, ANN)
    if way == "held":
        soft = email_pb2.SoftDeleteMessages(messages=of_message(PDF, ANN, sha256=sha256(changed)).messages)
        held = await do(SoftDeleteMessages(mail.mailboxes), soft)
        assert held.after == [DONE]
    else:
        mail.delete(ANN, changed)
    if way == "edited":
        mail.deliver(ANN, Seen("INBOX", changed + b"PS\r\n"))
    left = mail.see(ANN)
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([CONFLICT, DONE, DONE], [f"MESSAGE_{way.upper()}", "", ""])
    assert boxes(mail) == {**campaign, ANN: left}


async def test_what_was_purged_stays_as_it_is(mail: MailWorld, house: Attachments, campaign: Boxes) -> None:
    """The notice stands, and undo says why."""
    run = await do(house.effect, EVERYWHERE)
    house.clock.advance(KEEP)
    assert await house.vault.purge() == 3
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([MISSING] * 3, ["ATTACHMENT_PURGED"] * 3)
    assert only_it_is_gone(mail, campaign)


EXCHANGE = ("added", "attachment.added", "removed", "attachment.removed")


@pytest.mark.parametrize("step", ["vault.written", "attachment.kept", *EXCHANGE])
async def test_a_crash_while_taking_loses_and_doubles_nothing(
    mail: MailWorld, parser: Parser, tmp_path: Path, step: str
) -> None:
    """At each step: every copy is the one or the other; done again it is done, and undone all are as before."""
    mail.deliver(ANN, NOTE, *TWINS)
    before = mail.see(ANN)
    order = of_message(PDF, ANN, sha256=DIGEST)
    dying = Crash(1, _named(mail, step))
    with pytest.raises(CrashError):
        async with attachments(mail.another(dying), parser, tmp_path / "vault", point=dying) as house:
            await do(house.effect, order)
    assert_whole(mail.see(ANN))
    async with attachments(mail.another(), parser, tmp_path / "vault") as house:
        run = await do(house.effect, order)
        assert run.after == [DONE]
        (kept,) = await house.vault.held(KIND)
        changed = AttachmentRecord.load(kept.before).changed
        assert Counter(sha256(one.raw) for one in mail.see(ANN)) == {changed: 2, sha256(NOTE.raw): 1}
        assert (await undo(house.effect, run.plan)).after == [DONE]
        assert await house.vault.held(KIND) == []
    assert mail.see(ANN) == before


@pytest.mark.parametrize("step", EXCHANGE)
async def test_a_crash_while_putting_back_loses_and_doubles_nothing(
    mail: MailWorld, parser: Parser, tmp_path: Path, step: str
) -> None:
    """At each step; done again, all copies are as before, each once."""
    mail.deliver(ANN, NOTE, *TWINS)
    before = mail.see(ANN)
    async with attachments(mail.another(), parser, tmp_path / "vault") as house:
        run = await do(house.effect, of_message(PDF, ANN, sha256=DIGEST))
    dying = Crash(1, _named(mail, step))
    with pytest.raises(CrashError):
        async with attachments(mail.another(dying), parser, tmp_path / "vault", point=dying) as house:
            await undo(house.effect, run.plan)
    assert_whole(mail.see(ANN))
    async with attachments(mail.another(), parser, tmp_path / "vault") as house:
        assert (await undo(house.effect, run.plan)).after == [DONE]
        assert await house.vault.held(KIND) == []
    assert mail.see(ANN) == before


def _named(mail: MailWorld, step: str) -> str:
    backend = "imap" if type(mail).__name__ == "ImapWorld" else "maildir"
    return step if "." in step else f"{backend}.{step}"


def assert_whole(seen: list[Seen]) -> None:
    """See that each message is as it was or as it becomes, and that none is missing."""
    campaigns = [one.raw for one in seen if one != NOTE]
    assert len(campaigns) >= 2
    assert all(raw == CAMPAIGN or (b"X-Quell" in raw and not has_it(raw)) for raw in campaigns)


async def test_marks_alone_put_each_back_exactly(mail: MailWorld, house: Attachments, campaign: Boxes) -> None:
    """As a journal that was lost would leave it."""
    run = await do(house.effect, EVERYWHERE)
    marks = await house.effect.marks()
    assert sorted((mark.action, mark.item.key) for mark in marks) == [(ACTION, item.key) for item in run.plan.items]
    plan = replace(run.plan, items=tuple(mark.item for mark in marks))
    assert (await undo(house.effect, plan)).after == [DONE] * 3
    assert boxes(mail) == campaign


@pytest.mark.parametrize("after_s", [0, 0.01, 0.1, 0.4])
async def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    lab: MailLab, parser: Parser, tmp_path: Path, after_s: float
) -> None:
    """Forth and back: killed while it changes dozens, it comes back; what is left is done, and all is as it was."""
    world = ImapWorld(lab, parser, tmp_path)
    world.deliver(ANN, NOTE, *(Seen("INBOX", b"X-Number: %d\r\n" % one + CAMPAIGN) for one in range(40)))
    before = world.see(ANN)
    try:
        for back in (False, True):
            killing = Killing(lab, "imap.added", after_s)
            async with attachments(world.another(killing), parser, tmp_path / "vault") as house:
                plan = replace(await house.effect.plan(EVERYWHERE, None), action=ACTION)
                with contextlib.suppress(RefusedError):
                    await house.effect.apply(await house.effect.plan_revert(plan) if back else plan, Silent())
                assert killing.killed
                killing.killed.join(30)
                run = await (undo(house.effect, plan) if back else carry_out(house.effect, plan))
            assert run.after == [DONE] * 40
            assert len(world.see(ANN)) == 41
            assert sum(b"X-Quell" in one.raw for one in world.see(ANN)) == (0 if back else 40)
    finally:
        await world.close()
    assert world.see(ANN) == before


async def test_mailboxes_that_are_away_are_no_reason_to_leave_a_message_alone(
    lab: MailLab, parser: Parser, tmp_path: Path
) -> None:
    """Refused as a whole for now; when they are back, the same goes through."""
    world = ImapWorld(lab, parser, tmp_path)
    world.deliver(ANN, NOTE, Seen("INBOX", CAMPAIGN))
    backend = ImapMailboxes(world.server, ImapIndex(parser), patience_s=0)
    try:
        async with attachments(backend, parser, tmp_path / "vault") as house:
            plan = replace(await house.effect.plan(EVERYWHERE, None), action=ACTION)
            lab.kill()
            try:
                for away in (house.effect.plan(EVERYWHERE, None), house.effect.apply(plan, Silent())):
                    with pytest.raises(RefusedError, match="BACKEND_AWAY"):
                        await away
            finally:
                lab.start()
            assert (await carry_out(house.effect, plan)).after == [DONE]
    finally:
        await backend.close()
