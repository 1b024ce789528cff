"""Quarantine does on every backend alike: each test runs on Maildir trees and on a real IMAP server."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, REFUSED, do, undo
from mail_deaths import Crash, CrashError
from mail_tree import CAMPAIGN, ordinary, sha256
from mail_worlds import ALL, ANN, BOB, CLEO, DATE, MailWorld, Seen, crlf
from quarantine import KEEP, Quarantine, full_at, quarantine
from quell_email.domain.exclusions import Exclusions, Simulation
from quell_email.domain.mailboxes import Volume
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_messages import KIND, QuarantineMessages
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.parsing.parser import Parser
from quell_executor.contract import EffectContract, World
from quell_runtime.errors import FullError

DIGEST = sha256(CAMPAIGN)
COPY = Seen("INBOX", CAMPAIGN, ("\\Flagged", "\\Seen"), ("$Junk", "Work"), DATE + 2800)
NOTE = Seen("INBOX", crlf(ordinary(1)), ("\\Seen",), ())
TWINS = (Seen("INBOX", CAMPAIGN), Seen("Archive", CAMPAIGN, ("\\Answered",), ("Work",), DATE + 5))
Boxes = dict[str, list[Seen]]


def ordered(mailbox: str = "") -> email_pb2.QuarantineMessages:
    """Order the campaign into quarantine, in one mailbox by its digest, or wherever it is by its sender."""
    if mailbox:
        ref = target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}", sha256=DIGEST)
        selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
    else:
        selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(sender_domain="evil.example"))
    return email_pb2.QuarantineMessages(messages=selector)


def boxes(mail: MailWorld) -> Boxes:
    """Return what the users see."""
    return {address: mail.see(address) for address in ALL}


@pytest.fixture
def campaign(mail: MailWorld) -> Boxes:
    """Honest mail and one campaign in three mailboxes: unread, read and flagged with keywords, filed away."""
    mail.deliver(ANN, NOTE, Seen("INBOX", CAMPAIGN))
    mail.deliver(BOB, NOTE, COPY, Seen("Archive", crlf(ordinary(2)), ("\\Answered", "\\Seen"), ("Work",)))
    mail.deliver(CLEO, NOTE, Seen("Work/2026", CAMPAIGN, ("\\Answered", "\\Draft")))
    return boxes(mail)


@pytest.fixture
async def house(mail: MailWorld, parser: Parser, tmp_path: Path) -> AsyncIterator[Quarantine]:
    """Return the quarantine over the backend."""
    async with quarantine(mail.mailboxes, parser, tmp_path / "vault") as found:
        yield found


def only_campaign_is_gone(mail: MailWorld, before: Boxes) -> bool:
    """Hold every mailbox against how it was, without the campaign."""
    return boxes(mail) == {address: [one for one in seen if one.raw != CAMPAIGN] for address, seen in before.items()}


@dataclass
class Campaign:
    """A campaign in three mailboxes."""

    mail: MailWorld
    effect: QuarantineMessages
    order: email_pb2.QuarantineMessages

    async def look(self) -> object:
        """Return what the users see."""
        return boxes(self.mail)

    async def disturb(self) -> None:
        """Rename a folder that a message came from."""
        self.mail.rename(CLEO, "Work/2026", "Work/Done")


class TestQuarantineMessages(EffectContract):
    """Every check of the kit's suite."""

    @pytest.fixture
    def world(self, mail: MailWorld, house: Quarantine, campaign: Boxes) -> World:
        """Make the world of one check."""
        assert campaign
        return Campaign(mail, house.effect, ordered())


async def test_a_cluster_goes_into_the_vault_and_is_released_exactly(
    mail: MailWorld, house: Quarantine, campaign: Boxes
) -> None:
    """To one mailbox first, then to all: folder, flags, keywords, date and bytes. Twice is not needed, both ways."""
    run = await do(house.effect, ordered())
    assert (run.before, run.after) == ([PLANNED] * 3, [DONE] * 3)
    assert only_campaign_is_gone(mail, campaign)
    assert await house.vault.get(DIGEST) == CAMPAIGN
    assert [mail.held(address) for address in ALL] == [0] * 3
    again = await do(house.effect, ordered(), action=str(uuid.uuid4()))
    assert again.before == [DONE] * 3
    assert (await undo(house.effect, replace(run.plan, items=run.plan.items[1:2]))).after == [DONE]
    assert (mail.see(BOB), mail.see(ANN)) == (campaign[BOB], [one for one in campaign[ANN] if one.raw != CAMPAIGN])
    back = await undo(house.effect, run.plan)
    assert (back.before, back.after) == ([PLANNED, DONE, PLANNED], [DONE] * 3)
    assert boxes(mail) == campaign
    assert (await undo(house.effect, run.plan)).before == [DONE] * 3


async def test_control_with_the_effect_off_the_same_check_fails(
    mail: MailWorld, house: Quarantine, campaign: Boxes
) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    assert len((await house.effect.plan(ordered(), None)).items) == 3
    assert not only_campaign_is_gone(mail, campaign)
    assert await house.vault.held(KIND) == []


async def test_purged_is_told_from_released_for_ever(mail: MailWorld, house: Quarantine, campaign: Boxes) -> None:
    """One is released and then deleted by its user, the others purged: each is missing for its own reason."""
    run = await do(house.effect, ordered())
    assert (await undo(house.effect, replace(run.plan, items=run.plan.items[:1]))).after == [DONE]
    mail.delete(ANN, CAMPAIGN)
    house.clock.advance(KEEP)
    assert await house.vault.purge() == 2
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([MISSING] * 3, ["", "MESSAGE_PURGED", "MESSAGE_PURGED"])
    assert only_campaign_is_gone(mail, campaign)


async def test_a_folder_that_is_gone_is_a_conflict_and_changes_nothing(
    mail: MailWorld, house: Quarantine, campaign: Boxes
) -> None:
    """The others are released; that one stays in the vault until its folder is back."""
    run = await do(house.effect, ordered())
    mail.rename(CLEO, "Work/2026", "Work/Done")
    gone = mail.see(CLEO)
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([DONE, DONE, CONFLICT], ["", "", "FOLDER_GONE"])
    assert mail.see(CLEO) == gone
    mail.rename(CLEO, "Work/Done", "Work/2026")
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert boxes(mail) == campaign


STEPS = ("vault.written", "quarantine.stored", "quarantine.kept", "removed", "quarantine.removed")


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_while_taking_loses_and_doubles_nothing(
    mail: MailWorld, parser: Parser, tmp_path: Path, step: str
) -> None:
    """At each step; then its user moves what is left, the whole is done again, and released: each copy once."""
    mail.deliver(ANN, NOTE, *TWINS)
    before = Counter(mail.see(ANN))
    backend = "imap" if type(mail).__name__ == "ImapWorld" else "maildir"
    dying = Crash(1, f"{backend}.{step}" if step == "removed" else step)
    with pytest.raises(CrashError):
        async with quarantine(mail.another(dying), parser, tmp_path / "vault", point=dying) as house:
            await do(house.effect, ordered(ANN))
    left = Counter(mail.see(ANN))
    gone = before - left
    if not gone:
        mail.file(ANN, CAMPAIGN, "INBOX", "Archive")
        left = Counter(mail.see(ANN))
    async with quarantine(mail.another(), parser, tmp_path / "vault") as house:
        run = await do(house.effect, ordered(ANN))
        assert run.after == [DONE]
        assert Counter(mail.see(ANN)) == Counter([NOTE])
        assert (await undo(house.effect, run.plan)).after == [DONE]
    assert Counter(mail.see(ANN)) == left + gone


async def test_a_full_disk_takes_nothing_and_says_so(
    mail: MailWorld, parser: Parser, tmp_path: Path, campaign: Boxes
) -> None:
    """What can't be put away safely stays where it is; once there is room, the same order does it."""
    async with quarantine(mail.another(), parser, tmp_path / "vault", full_at("vault.written")) as house:
        with pytest.raises(FullError):
            await do(house.effect, ordered())
        assert boxes(mail) == campaign
        assert await house.vault.held(KIND) == []
    async with quarantine(mail.another(), parser, tmp_path / "vault") as house:
        assert (await do(house.effect, ordered())).after == [DONE] * 3
        assert only_campaign_is_gone(mail, campaign)


@pytest.mark.parametrize("step", ["added", "quarantine.added"])
async def test_a_crash_while_releasing_loses_and_doubles_nothing(
    mail: MailWorld, parser: Parser, tmp_path: Path, step: str
) -> None:
    """At each step; done again, all copies are there, each once."""
    mail.deliver(ANN, NOTE, *TWINS)
    before = mail.see(ANN)
    async with quarantine(mail.another(), parser, tmp_path / "vault") as house:
        run = await do(house.effect, ordered(ANN))
    backend = "imap" if type(mail).__name__ == "ImapWorld" else "maildir"
    dying = Crash(1, f"{backend}.{step}" if step == "added" else step)
    with pytest.raises(CrashError):
        async with quarantine(mail.another(dying), parser, tmp_path / "vault", point=dying) as house:
            await undo(house.effect, run.plan)
    async with quarantine(mail.another(), parser, tmp_path / "vault") as house:
        assert (await undo(house.effect, run.plan)).after == [DONE]
        assert await house.vault.held(KIND) == []
    assert mail.see(ANN) == before


async def test_what_is_excluded_is_left_alone_by_every_kind(
    mail: MailWorld, house: Quarantine, campaign: Boxes
) -> None:
    """A mailbox of the security team, and what a simulation sent from its own network."""
    simulation = Simulation("evil.example", (ip_network("203.0.113.0/24"),))
    choosing = Choosing(house.mailboxes, Exclusions(frozenset({ANN}), (simulation,)))
    soft = email_pb2.SoftDeleteMessages(messages=ordered().messages)
    quarantining = QuarantineMessages(house.effect.taking, choosing, house.clock, KEEP)
    for run in (await do(quarantining, ordered()), await do(SoftDeleteMessages(house.mailboxes, choosing), soft)):
        assert (run.after, run.reasons[:2]) == ([REFUSED] * 3, ["EXCLUDED_MAILBOX", "EXCLUDED_SIMULATION"])
    assert boxes(mail) == campaign
    forged = Choosing(house.mailboxes, Exclusions(simulations=(replace(simulation, networks=()),)))
    assert (await do(SoftDeleteMessages(house.mailboxes, forged), soft)).after == [DONE] * 3


async def test_marks_alone_give_each_back_exactly(mail: MailWorld, house: Quarantine, campaign: Boxes) -> None:
    """As a journal that was lost would leave it."""
    run = await do(house.effect, ordered())
    marks = await house.effect.marks()
    assert [(mark.action, mark.item.key) for mark in marks] == [(ACTION, item.key) for item in run.plan.items]
    plan = replace(run.plan, items=tuple(mark.item for mark in marks))
    assert (await undo(house.effect, plan)).after == [DONE] * 3
    assert boxes(mail) == campaign


async def test_what_is_in_quarantine_is_no_part_of_a_mailbox(
    mail: MailWorld, house: Quarantine, campaign: Boxes
) -> None:
    """A mailbox is as large as what its user sees in all folders; what is not there is no mailbox."""
    for _ in range(2):
        for address in ALL:
            seen = mail.see(address)
            assert await mail.mailboxes.volume(address) == Volume(len(seen), sum(len(one.raw) for one in seen))
        await do(house.effect, ordered())
    assert only_campaign_is_gone(mail, campaign)
    assert await mail.mailboxes.volume("nobody@example.org") is None
