"""What every backend of mailboxes must do alike: each test runs on Maildir trees and on a real IMAP server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, Silent, carry_out, do, undo
from mail_deaths import Crash, CrashError
from mail_tree import ATTACHMENT, CAMPAIGN, ordinary, sha256
from mail_worlds import ALL, ANN, BOB, CLEO, DATE, MailWorld, Seen, crlf
from quell_email.domain.errors import HinderedError
from quell_email.domain.fingerprint import fingerprint
from quell_email.domain.mailboxes import Mailboxes, Place
from quell_email.domain.selection import Criterion
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_executor.effect import RefusedError
from quell_runtime.click_links import link
from quell_runtime.seams import moment, stamp

DIGEST = sha256(CAMPAIGN)
COPY = Seen("INBOX", CAMPAIGN, ("\\Flagged", "\\Seen"), ("$Junk", "Work"), DATE + 2800)
NOTE = Seen("INBOX", crlf(ordinary(1)), ("\\Seen",), ())


@pytest.fixture
def campaign(mail: MailWorld) -> dict[str, list[Seen]]:
    """Honest mail and one campaign in three mailboxes: unread, read and flagged with keywords, filed away."""
    mail.deliver(ANN, NOTE, Seen("INBOX", CAMPAIGN))
    mail.deliver(BOB, NOTE, COPY, Seen("Archive", crlf(ordinary(2)), ("\\Answered", "\\Seen"), ("Work",)))
    mail.deliver(CLEO, NOTE, Seen("Work/2026", CAMPAIGN, ("\\Answered", "\\Draft")))
    return {address: mail.see(address) for address in ALL}


@pytest.fixture
def effect(mail: MailWorld) -> SoftDeleteMessages:
    """Soft delete over the backend."""
    return SoftDeleteMessages(mail.mailboxes)


def cluster(**fields: object) -> email_pb2.SoftDeleteMessages:
    """Order a cluster to be deleted."""
    fields = fields or {"sender_domain": "evil.example"}
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(**fields))  # type: ignore[arg-type]
    return email_pb2.SoftDeleteMessages(messages=selector)


def listed(**fields: object) -> email_pb2.SoftDeleteMessages:
    """Order a message that is named to be deleted."""
    ref = target_pb2.MessageRef(**fields)  # type: ignore[arg-type]
    return email_pb2.SoftDeleteMessages(
        messages=target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
    )


def only_campaign_is_gone(mail: MailWorld, before: dict[str, list[Seen]]) -> bool:
    """Hold every mailbox against how it was, without the campaign."""
    return all(mail.see(address) == [seen for seen in before[address] if seen.raw != CAMPAIGN] for address in ALL)


async def test_a_cluster_goes_and_comes_back_exactly(
    mail: MailWorld, effect: SoftDeleteMessages, campaign: dict[str, list[Seen]]
) -> None:
    """Gone from three mailboxes, nothing else touched; back with folder, flags, keywords, date and bytes. Twice too."""
    run = await do(effect, cluster())
    assert (run.before, run.after) == ([PLANNED] * 3, [DONE] * 3)
    assert only_campaign_is_gone(mail, campaign)
    assert [mail.held(address) for address in ALL] == [1] * 3
    for _ in range(2):
        assert (await undo(effect, run.plan)).after == [DONE] * 3
        assert {address: mail.see(address) for address in ALL} == campaign
    assert [mail.held(address) for address in ALL] == [0] * 3


async def test_control_with_the_effect_off_the_same_check_fails(
    mail: MailWorld, effect: SoftDeleteMessages, campaign: dict[str, list[Seen]]
) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    plan = await effect.plan(cluster(), None)
    assert len(plan.items) == 3
    assert not only_campaign_is_gone(mail, campaign)
    assert [finding.state for finding in await effect.probe(plan)] == [PLANNED] * 3
    assert {address: mail.see(address) for address in ALL} == campaign


@pytest.mark.usefixtures("campaign")
async def test_deleting_twice_finds_what_we_hold(mail: MailWorld, effect: SoftDeleteMessages) -> None:
    """A second order, by another name and to a backend that knows nothing, finds it done, and can take it back."""
    await do(effect, cluster())
    second = await do(
        SoftDeleteMessages(mail.another()), listed(message_id="campaign-1@evil.example"), action=ACTION[:-1] + "2"
    )
    assert second.before == second.after == [DONE] * 3
    assert (await undo(effect, second.plan)).after == [DONE] * 3
    assert COPY in mail.see(BOB)


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize(
    ("order", "count"),
    [
        (cluster(url="https://EVIL.example:443/login?u=1&x=2#top"), 3),
        (cluster(url="https://evil.example/login?u=2"), 0),
        (cluster(attachment_sha256=ATTACHMENT), 3),
        (cluster(sender_ip="203.0.113.7", content_type="multipart/mixed"), 3),
        (cluster(sender_ip="203.0.113.7", content_type="text/html"), 0),
        (cluster(sender="pay@mail.evil.example", mailboxes=["mailboxes/Ann@Example.org"]), 1),
        (cluster(sender_domain="evil.example", start_time=stamp(moment((DATE + 1) * 1_000_000))), 1),
        (cluster(sender_domain="evil.example", end_time=stamp(moment((DATE + 1) * 1_000_000))), 2),
        (listed(message_id="campaign-1@evil.example"), 3),
        (listed(sha256=DIGEST), 3),
        (listed(sha256=DIGEST, mailbox=f"mailboxes/{BOB}"), 1),
    ],
)
async def test_messages_are_found_by_what_is_asked(
    effect: SoftDeleteMessages, order: email_pb2.SoftDeleteMessages, count: int
) -> None:
    """Each way of telling messages finds those and no others."""
    assert len((await effect.plan(order, None)).items) == count


@pytest.mark.parametrize("first", ["Subject", "BodyFingerprint"])
@pytest.mark.parametrize(("second", "value"), [("SenderDomain", "evil.example"), ("SenderIp", "203.0.113.7")])
async def test_a_campaign_is_found_as_detection_systems_name_it(
    mail: MailWorld, effect: SoftDeleteMessages, first: str, second: str, value: str
) -> None:
    """Each of the three has to be so: of the like ones, each of which differs in one, none is meant."""
    text = "Dear colleague, your salary has changed since last month, look at it before Friday noon."
    fields = {"Subject": "Your salary", "SenderDomain": "evil.example", "SenderIp": "203.0.113.7", "type": "plain"}
    others = {
        first: "Lunch",
        second: {"SenderDomain": "good.example", "SenderIp": "203.0.113.8"}[second],
        "type": "html",
    }
    for number, other in enumerate([{}, *({name: other} for name, other in others.items())]):
        said = fields | other
        raw = (
            f"Received: from them (them [{said['SenderIp']}]) by mx.example.org; Mon, 16 Nov 2026 10:00:00 +0000\r\n"
            f"From: a@{said['SenderDomain']}\r\nSubject: {said['Subject']}\r\nMessage-ID: <{number}@b.example>\r\n"
            f"Content-Type: text/{said['type']}\r\n\r\n{said.get('BodyFingerprint', text)}\r\n"
        )
        mail.deliver(ANN, Seen("INBOX", raw.encode()))
    mark = {"Subject": "RE: your  salary", "BodyFingerprint": fingerprint(text, is_html=False)}[first]
    named = cluster(cluster_by=f"{first};{second};ContentType", cluster_by_value=f"{mark};{value};text/plain")
    plan = await effect.plan(named, None)
    assert [item.item.message.message_id for item in plan.items] == ["0@b.example"]


async def test_a_url_is_found_in_mail_whose_links_were_signed_at_delivery(
    mail: MailWorld, effect: SoftDeleteMessages
) -> None:
    """The filter has put our link in its place; another URL's is not meant."""
    for number, url in enumerate(("https://evil.example/x", "https://good.example/x")):
        signed = link("https://click.example.org", b"key", url)
        raw = f"From: a@b.example\r\nMessage-ID: <{number}@b.example>\r\n\r\nSee {signed}\r\n"
        mail.deliver(ANN, Seen("INBOX", raw.encode()))
    plan = await effect.plan(cluster(url="https://EVIL.example/x"), None)
    assert [item.item.message.message_id for item in plan.items] == ["0@b.example"]


async def test_a_mailbox_that_is_not_here_is_refused(effect: SoftDeleteMessages) -> None:
    """Nothing is guessed."""
    with pytest.raises(RefusedError, match="MAILBOX_UNKNOWN"):
        await effect.plan(listed(sha256=DIGEST, mailbox="mailboxes/nobody@example.org"), None)


async def test_a_snapshot_is_found_again_and_nothing_else_is_taken(mail: MailWorld, effect: SoftDeleteMessages) -> None:
    """Its user moved one to a new folder, another is gone, a newcomer arrived: done, missing, and left alone."""
    other, newcomer = (CAMPAIGN.replace(b"campaign-1", name) for name in (b"campaign-2", b"campaign-3"))
    mail.deliver(ANN, COPY, Seen("INBOX", other))
    seen = [item.item for item in (await effect.plan(cluster(), None)).items]
    mail.file(ANN, CAMPAIGN, "INBOX", "Later/Soon")
    mail.delete(ANN, other)
    mail.deliver(ANN, Seen("INBOX", newcomer))
    before = mail.see(ANN)
    assert replace_folder(COPY, "Later/Soon") in before
    run = await do(effect, cluster(), seen)
    assert {item.item.message.sha256: state for item, state in zip(run.plan.items, run.after, strict=True)} == {
        DIGEST: DONE,
        sha256(other): MISSING,
    }
    assert mail.see(ANN) == [Seen("INBOX", newcomer)]
    await undo(effect, run.plan)
    assert mail.see(ANN) == before


def replace_folder(seen: Seen, folder: str) -> Seen:
    """Return a message as it is in another folder."""
    return seen._replace(folder=folder)


async def test_a_message_that_its_user_moves_after_the_plan_is_taken_from_there(
    mail: MailWorld, effect: SoftDeleteMessages
) -> None:
    """It is taken by what it is, and goes back to where it was taken from."""
    mail.deliver(ANN, COPY)
    plan = replace(await effect.plan(cluster(), None), action=ACTION)
    mail.file(ANN, CAMPAIGN, "INBOX", "Later")
    before = mail.see(ANN)
    assert (await carry_out(effect, plan)).after == [DONE]
    assert mail.see(ANN) == []
    await undo(effect, plan)
    assert mail.see(ANN) == before == [replace_folder(COPY, "Later")]


async def test_all_copies_in_a_mailbox_are_one_message(mail: MailWorld, effect: SoftDeleteMessages) -> None:
    """Three copies, two of them in one folder, go and come together; if one can't come, none does."""
    mail.deliver(ANN, COPY, Seen("INBOX", CAMPAIGN, ("\\Answered",)), Seen("Later", CAMPAIGN), NOTE)
    before = mail.see(ANN)
    run = await do(effect, cluster())
    assert run.after == [DONE]
    assert mail.see(ANN) == [NOTE]
    assert mail.held(ANN) == 3
    mail.rename(ANN, "Later", "Sooner")
    refused = await undo(effect, run.plan)
    assert (refused.after, refused.reasons) == ([CONFLICT], ["FOLDER_GONE"])
    assert mail.see(ANN) == [NOTE]
    mail.rename(ANN, "Sooner", "Later")
    assert (await undo(effect, run.plan)).after == [DONE]
    assert mail.see(ANN) == before


async def test_copies_in_sent_mail_are_taken_only_if_asked(mail: MailWorld, effect: SoftDeleteMessages) -> None:
    """The sender's own copy stays, and does not count, unless the order includes it."""
    sent = Seen("Sent", CAMPAIGN)
    mail.deliver(ANN, sent, COPY)
    assert (await do(effect, listed(sha256=DIGEST))).after == [DONE]
    assert mail.see(ANN) == [sent]
    order = listed(sha256=DIGEST)
    order.include_sent_copies = True
    assert (await do(effect, order)).after == [DONE]
    assert mail.see(ANN) == []


async def test_mail_with_the_same_message_id_or_none_is_told_by_its_bytes(
    mail: MailWorld, effect: SoftDeleteMessages
) -> None:
    """A Message-ID may be shared, or missing: the digest tells."""
    nameless = CAMPAIGN.replace(b"Message-ID", b"X-No-ID")
    twin = CAMPAIGN.replace(b"salary", b"wages")
    mail.deliver(ANN, COPY, Seen("INBOX", nameless), Seen("INBOX", twin))
    assert (await do(effect, listed(sha256=sha256(nameless)))).after == [DONE]
    assert mail.see(ANN) == sorted([COPY, Seen("INBOX", twin)])
    assert (await do(effect, listed(message_id="campaign-1@evil.example"))).after == [DONE, DONE]
    assert mail.see(ANN) == []


async def test_marks_put_each_back_exactly_without_a_journal(
    mail: MailWorld, effect: SoftDeleteMessages, campaign: dict[str, list[Seen]]
) -> None:
    """What lies in the mailboxes tells who took what, and undo brings it back by that."""
    assert await effect.marks() == []
    run = await do(effect, cluster())
    reborn = SoftDeleteMessages(mail.another())
    marks = await reborn.marks()
    assert [mark.item.key for mark in marks] == [item.key for item in run.plan.items]
    assert {mark.action for mark in marks} == {ACTION}
    plan = replace(run.plan, items=tuple(mark.item for mark in marks))
    assert (await undo(reborn, plan)).after == [DONE] * 3
    assert {address: mail.see(address) for address in ALL} == campaign
    assert await reborn.marks() == []


async def test_what_is_purged_never_comes_back_and_is_told_of(mail: MailWorld, effect: SoftDeleteMessages) -> None:
    """Before its time it stays; then it is gone in batches, the deletion stands, and undo says why it can't."""
    many = [CAMPAIGN + b"%d\r\n" % number for number in range(150)]
    mail.deliver(ANN, *(Seen("INBOX", raw) for raw in many), NOTE)
    run = await do(effect, cluster())
    now = datetime.now(UTC)
    assert await mail.mailboxes.purge(ANN, now - timedelta(hours=1)) == 0
    assert mail.held(ANN) == 150
    purged = [await mail.mailboxes.purge(ANN, now + timedelta(hours=1)) for _ in range(3)]
    assert purged == [100, 50, 0]
    assert mail.held(ANN) == 0
    for one in (effect, SoftDeleteMessages(mail.another())):
        assert {finding.state for finding in await one.probe(run.plan)} == {DONE}
        undone = await undo(one, run.plan)
        assert (set(undone.after), set(undone.reasons)) == ({MISSING}, {"MESSAGE_PURGED"})
    assert mail.see(ANN) == [NOTE]
    assert await effect.marks() == []


async def test_what_was_released_and_then_deleted_by_its_user_is_not_called_purged(
    mail: MailWorld, effect: SoftDeleteMessages
) -> None:
    """Whoever asks afterwards hears that it is missing, for no reason of ours."""
    mail.deliver(ANN, COPY)
    run = await do(effect, cluster())
    await undo(effect, run.plan)
    mail.delete(ANN, CAMPAIGN)
    assert await mail.mailboxes.purge(ANN, datetime.now(UTC) + timedelta(hours=1)) == 0
    undone = await undo(effect, run.plan)
    assert (undone.after, undone.reasons) == ([MISSING], [""])


async def test_copies_are_added_where_and_as_they_should_be_and_only_once(mail: MailWorld) -> None:
    """Flags, keywords, internal date and bytes; one that is there counts, though its user has flagged it."""
    mail.deliver(ANN, NOTE, Seen("Later", crlf(ordinary(3)), (), ("$Junk", "Work")))
    mail.deliver(ANN, Seen("INBOX", crlf(ordinary(4)), (), ("$Junk", "Work")))
    before = mail.see(ANN)
    places = [
        Place(seen.folder, seen.flags, seen.keywords, seen.date * 1_000_000)
        for seen in (COPY, replace_folder(COPY, "Later"), Seen("Later", CAMPAIGN))
    ]
    assert await mail.mailboxes.hindrance(ANN, places) == ""
    for backend in (mail.mailboxes, mail.mailboxes, mail.another()):
        await backend.add(ANN, CAMPAIGN, places)
    added = [COPY, replace_folder(COPY, "Later"), Seen("Later", CAMPAIGN)]
    assert mail.see(ANN) == sorted([*before, *added])
    assert await mail.mailboxes.read(ANN, DIGEST) == CAMPAIGN
    assert await mail.mailboxes.read(ANN, sha256(b"never")) is None


async def test_nothing_is_added_if_one_folder_is_gone(mail: MailWorld) -> None:
    """All or none, and it is said beforehand."""
    mail.deliver(ANN, NOTE)
    places = [Place("INBOX"), Place("Nowhere/At all")]
    assert await mail.mailboxes.hindrance(ANN, places) == "FOLDER_GONE"
    with pytest.raises(HinderedError, match="FOLDER_GONE"):
        await mail.mailboxes.add(ANN, CAMPAIGN, places)
    with pytest.raises(HinderedError, match="FOLDER_GONE"):
        await mail.mailboxes.add("nobody@example.org", CAMPAIGN, [])
    assert mail.see(ANN) == [NOTE]


async def test_copies_are_removed_for_good_wherever_they_are(mail: MailWorld) -> None:
    """In every folder, twice or once; other mail stays, and sent mail unless it is meant."""
    sent = Seen("Sent", CAMPAIGN)
    mail.deliver(ANN, NOTE, COPY, Seen("Later", CAMPAIGN), Seen("INBOX", CAMPAIGN), sent)
    for _ in range(2):
        await mail.mailboxes.remove(ANN, [DIGEST], sent=False)
        assert mail.see(ANN) == [NOTE, sent]
    await mail.mailboxes.remove(ANN, [DIGEST], sent=True)
    assert mail.see(ANN) == [NOTE]
    assert mail.held(ANN) == 0


@pytest.mark.parametrize("at", range(1, 9))
async def test_after_a_crash_at_any_point_nothing_is_lost_or_doubled(mail: MailWorld, at: int) -> None:
    """Killed between any two steps forth or back, then recovered: all held once, and all come back."""
    more = [Seen(folder, CAMPAIGN + b"%d\r\n" % n) for n in range(2) for folder in ("INBOX", "Later")]
    mail.deliver(ANN, COPY, *more, NOTE)
    before = mail.see(ANN)
    dying = SoftDeleteMessages(mail.another(Crash(at)))
    plan = replace(await dying.plan(cluster(), None), action=ACTION)

    async def there_and_back() -> None:
        await dying.apply(plan, Silent())
        await dying.apply(await dying.plan_revert(plan), Silent())

    with pytest.raises(CrashError):
        await there_and_back()
    reborn = SoftDeleteMessages(mail.another())
    assert (await carry_out(reborn, plan)).after == [DONE] * 3
    assert mail.held(ANN) == 5
    assert mail.see(ANN) == [NOTE]
    assert (await undo(reborn, plan)).after == [DONE] * 3
    assert mail.see(ANN) == before


@pytest.mark.parametrize("at", range(1, 5))
async def test_after_a_crash_replacing_a_message_ends_the_same(mail: MailWorld, at: int) -> None:
    """Adding and then removing, killed anywhere and done again, leaves each copy once."""
    mail.deliver(ANN, NOTE, Seen("Later", CAMPAIGN))
    changed = CAMPAIGN + b"changed\r\n"
    mail.deliver(ANN, Seen("INBOX", CAMPAIGN))
    places = (await mail.mailboxes.find(ANN, [Criterion(sha256=DIGEST)], sent=False))[0].places

    async def changing(backend: Mailboxes) -> None:
        await backend.add(ANN, changed, places)
        await backend.remove(ANN, [DIGEST], sent=False)

    with pytest.raises(CrashError):
        await changing(mail.another(Crash(at)))
    await changing(mail.another())
    assert mail.see(ANN) == sorted([NOTE, Seen("INBOX", changed), Seen("Later", changed)])


@pytest.mark.parametrize("at", range(1, 4))
async def test_killed_while_purging_each_is_either_held_or_purged(mail: MailWorld, at: int) -> None:
    """Undo brings back what is held and tells of the rest; the next purge ends what was begun."""
    raws = [CAMPAIGN + b"%d\r\n" % number for number in range(3)]
    mail.deliver(ANN, *(Seen("INBOX", raw) for raw in raws[:2]), Seen("Later", raws[2]))
    run = await do(SoftDeleteMessages(mail.mailboxes), cluster())
    due = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(CrashError):
        await mail.another(Crash(at)).purge(ANN, due)
    reborn = mail.another()
    undone = await undo(SoftDeleteMessages(reborn), run.plan)
    back = mail.see(ANN)
    assert sorted(undone.after) == sorted([DONE] * len(back) + [MISSING] * (3 - len(back)))
    assert undone.reasons.count("MESSAGE_PURGED") == 3 - len(back)
    await reborn.purge(ANN, due)
    assert mail.held(ANN) == 0
    assert (await reborn.look(ANN, [sha256(raw) for raw in raws], sent=False)).purged == {
        sha256(raw) for raw in raws
    } - {sha256(seen.raw) for seen in back}
