"""Soft-deleted messages are out of their users' sight, and put back exactly as they were or not at all."""

import contextlib
import os
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, REFUSED, Silent, carry_out, do, undo
from mail_deaths import Crash, CrashError
from mail_tree import ATTACHMENT, CAMPAIGN, MailTree, Photograph, ordinary, sha256
from quell_email.domain.facts import Headers
from quell_email.domain.fingerprint import fingerprint
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser
from quell_executor.effect import RefusedError
from quell_runtime.seams import moment, stamp

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
DIGEST = sha256(CAMPAIGN)

TEXT = """Dear Ann, your mailbox is over its limit and will be closed within 24 hours. To keep your messages, confirm
your account on our secure page https://evil.example/a with your user name and your password, as the rules demand."""


def cluster(**fields: object) -> email_pb2.SoftDeleteMessages:
    """Order a cluster to be deleted."""
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(**fields))  # type: ignore[arg-type]
    return email_pb2.SoftDeleteMessages(messages=selector)


def named(cluster_by: str, value: str) -> email_pb2.SoftDeleteMessages:
    """Order a cluster as detection systems name it."""
    return cluster(cluster_by=cluster_by, cluster_by_value=value)


def listed(*refs: target_pb2.MessageRef) -> email_pb2.SoftDeleteMessages:
    """Order messages that are named to be deleted."""
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=refs))
    return email_pb2.SoftDeleteMessages(messages=selector)


def by_digest(mailbox: str = "", digest: str = DIGEST) -> email_pb2.SoftDeleteMessages:
    """Order one message to be deleted."""
    return listed(target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}" if mailbox else "", sha256=digest))


def photographs(tree: MailTree) -> list[Photograph]:
    """Return how all mailboxes look to their users."""
    return [tree.photograph(address) for address in ALL]


def assert_only_campaign_is_gone(tree: MailTree, before: list[Photograph]) -> None:
    """Hold every mailbox against its photograph without the campaign."""
    for address, photograph in zip(ALL, before, strict=True):
        rest = {path: facts for path, facts in photograph.messages.items() if facts[0] != CAMPAIGN}
        assert tree.photograph(address).messages == rest


async def test_a_cluster_leaves_all_mailboxes_and_ordinary_mail_stays_untouched(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """The campaign is gone from three mailboxes, whether new, flagged or filed away; nothing else has changed."""
    before = photographs(tree)
    run = await do(effect, cluster(sender_domain="evil.example", subject="your  SALARY €"))
    assert run.before == [PLANNED] * 3
    assert run.after == [DONE] * 3
    assert_only_campaign_is_gone(tree, before)
    assert [item.key for item in run.plan.items] == [f"email.message:{address}:{DIGEST}" for address in ALL]
    shown = run.plan.items[2].item.message
    assert (shown.folder, shown.message_id, shown.subject) == (
        "Work/2026",
        "campaign-1@evil.example",
        "Re: Your salary €",
    )


async def test_control_with_the_effect_off_the_same_check_fails(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    before = photographs(tree)
    plan = await effect.plan(cluster(sender_domain="evil.example"), None)
    assert len(plan.items) == 3
    with pytest.raises(AssertionError):
        assert_only_campaign_is_gone(tree, before)
    assert photographs(tree) == before
    assert [finding.state for finding in await effect.probe(plan)] == [PLANNED] * 3


async def test_undo_puts_every_message_back_exactly(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """Folder, file name with flags, keywords, times, mode, owner and bytes are as before; twice is done."""
    before = photographs(tree)
    run = await do(effect, cluster(sender="PAY@mail.evil.example"))
    assert (await undo(effect, run.plan)).after == [DONE] * 3
    assert photographs(tree) == before
    again = await undo(effect, run.plan)
    assert again.before == again.after == [DONE] * 3
    assert photographs(tree) == before


async def test_deleting_twice_finds_what_we_hold(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """A second order, by another name, finds the messages done; it can take them back as well."""
    before = photographs(tree)
    await do(effect, cluster(sender_domain="evil.example"))
    second = await do(effect, by_digest(), action=ACTION[:-1] + "2")
    assert second.before == [DONE] * 3
    assert (await undo(effect, second.plan)).after == [DONE] * 3
    assert photographs(tree) == before


@pytest.mark.parametrize(
    ("order", "count"),
    [
        (cluster(url="https://EVIL.example:443/login?u=1&x=2#top"), 3),
        (cluster(url="https://evil.example/login?u=2"), 0),
        (cluster(attachment_sha256=ATTACHMENT), 3),
        (cluster(attachment_sha256=sha256(b"another")), 0),
        (cluster(sender_ip="203.0.113.7", content_type="multipart/mixed"), 3),
        (cluster(sender_ip="203.0.113.7", content_type="text/html"), 0),
        (cluster(sender_ip="10.0.0.1"), 0),
        (cluster(sender_domain="mail.evil.example"), 3),
        (cluster(sender_domain="vil.example"), 0),
        (cluster(sender="pay@mail.evil.example", mailboxes=["mailboxes/Ann@Example.org"]), 1),
        (cluster(subject="lunch 1"), 1),
        (named("Subject;SenderDomain;ContentType", "Your salary €;evil.example;multipart/mixed"), 3),
        (named("Subject;SenderDomain;ContentType", "Your salary €;evil.example;text/html"), 0),
        (named("Subject;SenderIp;ContentType", "RE: Your  salary €;203.0.113.7;Multipart/Mixed"), 3),
        (named("Subject;SenderIp;ContentType", "Your salary €;203.0.113.8;multipart/mixed"), 0),
        (cluster(sender_domain="evil.example", start_time=stamp(moment(1_763_288_000_000_000))), 1),
        (cluster(sender_domain="evil.example", end_time=stamp(moment(1_763_288_000_000_000))), 2),
        (listed(target_pb2.MessageRef(message_id="campaign-1@evil.example")), 3),
        (by_digest("bob@example.org"), 1),
        (by_digest(), 3),
    ],
)
async def test_messages_are_found_by_what_is_asked(
    effect: SoftDeleteMessages, order: email_pb2.SoftDeleteMessages, count: int
) -> None:
    """Each way of telling messages finds those and no others."""
    plan = await effect.plan(order, None)
    assert len(plan.items) == count
    assert plan.names


async def test_near_duplicates_of_a_text_are_a_cluster(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """Copies that differ in name and link answer one fingerprint; a like mail from elsewhere or with other text not."""
    for number, (address, domain, text) in enumerate(
        [
            ("ann@example.org", "evil.example", TEXT),
            ("bob@example.org", "evil.example", TEXT.replace("Ann", "Bob").replace("/a", "/b")),
            ("bob@example.org", "good.example", TEXT),
            (
                "cleo@example.org",
                "evil.example",
                "The minutes of our last meeting are in the shared folder, as always.",
            ),
        ]
    ):
        head = f"From: a@{domain}\nSubject: {number}\nContent-Type: text/plain\n\n"
        tree.deliver(address, f"{head}{text}\n".encode(), base=f"{number}.near")
    value = f"{fingerprint(TEXT, is_html=False)};evil.example;text/plain"
    plan = await effect.plan(named("BodyFingerprint;SenderDomain;ContentType", value), None)
    assert [item.item.message.subject for item in plan.items] == ["0", "1"]


async def test_a_location_needs_the_servers_list_and_its_uidvalidity(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """A UID tells a message only where Dovecot's list stands, and only of the same UIDVALIDITY."""
    ref = target_pb2.MessageRef(
        mailbox="mailboxes/bob@example.org",
        location=target_pb2.MailLocation(folder="INBOX", uid_validity=77, uid=5),
    )
    with pytest.raises(RefusedError, match="LOCATION_UNSUPPORTED"):
        await effect.plan(listed(ref), None)
    uids = tree.root("bob@example.org") / "dovecot-uidlist"
    uids.write_text("3 V77 N9 Gabcdef\n4 :1.plain\n5 S100 :2.camp,S=1\n")
    assert not (await effect.plan(listed(ref), None)).items
    uids.write_text("3 V77 N9 Gabcdef\n4 :1.plain\n5 :2.camp\n")
    assert [item.item.message.sha256 for item in (await effect.plan(listed(ref), None)).items] == [DIGEST]
    uids.write_text("3 V78 N9 Gabcdef\n5 :2.camp\n")
    with pytest.raises(RefusedError, match="UIDVALIDITY_CHANGED"):
        await effect.plan(listed(ref), None)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (cluster(body_fingerprint="abc"), "CLUSTER_FIELD_UNSUPPORTED"),
        (named("BodyFingerprint;SenderIp;ContentType", "abc;203.0.113.7;text/html"), "CLUSTER_FIELD_UNSUPPORTED"),
        (named("Subject;SenderIp;ContentType", "Hi;nowhere;text/html"), "CLUSTER_VALUE_INVALID"),
        (cluster(url="nowhere"), "URL_INVALID"),
        (by_digest("nobody@example.org"), "MAILBOX_UNKNOWN"),
        (by_digest(".."), "MAILBOX_UNKNOWN"),
        (cluster(sender="a@b.example", mailboxes=["mailboxes/ann@example.org", "mailboxes/x"]), "MAILBOX_UNKNOWN"),
    ],
)
async def test_what_cant_be_told_is_refused_with_its_reason(
    effect: SoftDeleteMessages, order: email_pb2.SoftDeleteMessages, reason: str
) -> None:
    """Nothing is guessed."""
    with pytest.raises(RefusedError) as refusal:
        await effect.plan(order, None)
    assert refusal.value.failure.reason == reason


async def test_a_named_message_that_is_nowhere_is_missing(effect: SoftDeleteMessages) -> None:
    """It is an item of its own, and said to be missing."""
    run = await do(effect, by_digest("ann@example.org", sha256(b"never")))
    assert run.after == [MISSING]


async def test_a_snapshot_is_found_again_and_nothing_else_is_taken(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """A user moved one and flagged it, one was edited, a newcomer arrived: moved is done, edited is missing."""
    order = cluster(sender_domain="evil.example")
    seen = [item.item for item in (await effect.plan(order, None)).items]
    (tree.root("ann@example.org") / "new" / "1.camp").rename(
        tree.folder("ann@example.org", "Later") / "cur" / "1.camp:2,F"
    )
    edited = tree.root("bob@example.org") / "cur" / "2.camp:2,FSab"
    edited.write_bytes(CAMPAIGN + b"edited")
    tree.deliver("cleo@example.org", CAMPAIGN.replace(b"campaign-1", b"campaign-2"), base="9.new")
    before = photographs(tree)
    run = await do(effect, order, seen)
    assert run.after == [DONE, MISSING, DONE]
    assert edited.exists()
    assert (tree.root("cleo@example.org") / "cur" / "9.new:2,S").exists()
    assert (await undo(effect, run.plan)).after == [DONE, MISSING, DONE]
    assert photographs(tree) == before


async def test_a_message_that_its_user_moves_after_the_plan_is_taken_from_there(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """It is taken by what it is, and goes back to where it was taken from."""
    plan = await effect.plan(by_digest("ann@example.org"), None)
    moved = tree.folder("ann@example.org", "Later") / "cur" / "1.camp:2,S"
    (tree.root("ann@example.org") / "new" / "1.camp").rename(moved)
    run = await carry_out(effect, plan)
    assert run.after == [DONE]
    assert not moved.exists()
    await undo(effect, plan)
    assert moved.read_bytes() == CAMPAIGN


async def test_all_copies_in_a_mailbox_are_one_message(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """Two copies go and come together; if one can't come, none does."""
    tree.deliver("ann@example.org", CAMPAIGN, folder="Later", base="7.camp")
    before = tree.photograph("ann@example.org")
    run = await do(effect, by_digest("ann@example.org"))
    assert run.after == [DONE]
    assert CAMPAIGN not in {facts[0] for facts in tree.photograph("ann@example.org").messages.values()}
    gone = tree.folder("ann@example.org", "Later").rename(tree.root("ann@example.org") / ".Sooner")
    after = tree.photograph("ann@example.org")
    refused = await undo(effect, run.plan)
    assert (refused.after, refused.reasons) == ([CONFLICT], ["FOLDER_GONE"])
    assert tree.photograph("ann@example.org") == after
    gone.rename(tree.root("ann@example.org") / ".Later")
    assert (await undo(effect, run.plan)).after == [DONE]
    assert tree.photograph("ann@example.org") == before


async def test_a_name_that_is_taken_and_a_held_message_that_was_changed_are_conflicts(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """Nothing is overwritten, and nothing but what was taken is put back."""
    run = await do(effect, by_digest("ann@example.org"))
    squatter = tree.deliver("ann@example.org", ordinary(5), flags=None, base="1.camp")
    assert (await undo(effect, run.plan)).reasons == ["NAME_TAKEN"]
    assert squatter.read_bytes() == ordinary(5)
    squatter.unlink()
    (held,) = (tree.base / "ann@example.org" / ".quell-Maildir").glob(f"{DIGEST}.*")
    held.write_bytes(b"changed")
    assert (await undo(effect, run.plan)).reasons == ["MESSAGE_CHANGED"]
    assert not squatter.exists()


async def test_keywords_come_back_by_name_though_their_letters_changed(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """The server gave the keywords other letters meanwhile; one that it no longer knows is a conflict."""
    run = await do(effect, by_digest("bob@example.org"))
    tree.keywords("bob@example.org", "INBOX", ["Work"])
    assert (await undo(effect, run.plan)).reasons == ["KEYWORD_GONE"]
    tree.keywords("bob@example.org", "INBOX", ["Other", "Work", "$Junk"])
    assert (await undo(effect, run.plan)).after == [DONE]
    found = tree.photograph("bob@example.org").messages["cur/2.camp:2,FSbc"]
    assert found[5] == ("$Junk", "Work")


async def test_copies_in_sent_mail_are_taken_only_if_asked(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """The sender's own copy stays, and does not count, unless the order includes it."""
    sent = tree.deliver("ann@example.org", CAMPAIGN, folder="Sent", base="8.sent")
    assert (await do(effect, by_digest("ann@example.org"))).after == [DONE]
    assert sent.exists()
    order = by_digest("ann@example.org")
    order.include_sent_copies = True
    assert (await do(effect, order)).after == [DONE]
    assert not sent.exists()


async def test_a_message_that_cant_be_parsed_is_told_and_left(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """It may belong to the cluster, nobody knows: it is refused, in the snapshot too. By its digest it can be taken."""
    bomb = CAMPAIGN.replace(b'; boundary="xyz"', b"")
    path = tree.deliver("ann@example.org", bomb, base="6.bomb")
    order = cluster(url="https://evil.example/login?u=1&x=2")
    run = await do(effect, order)
    assert sorted(zip(run.after, run.reasons, strict=True)) == [(DONE, "")] * 3 + [(REFUSED, "MESSAGE_UNPARSABLE")]
    again = await do(effect, order, [item.item for item in run.plan.items])
    assert sorted(again.after) == [DONE] * 3 + [REFUSED]
    assert path.exists()
    assert (await do(effect, by_digest("ann@example.org", sha256(bomb)))).after == [DONE]
    assert not path.exists()


async def test_links_lead_nowhere(tree: MailTree, effect: SoftDeleteMessages, tmp_path: Path) -> None:
    """A folder or message that is a link to elsewhere is not mail of this mailbox."""
    outside = tmp_path / "outside"
    for part in ("cur", "new"):
        (outside / part).mkdir(parents=True)
    victim = outside / "cur" / "1:2,S"
    victim.write_bytes(CAMPAIGN)
    (tree.root("ann@example.org") / ".Link").symlink_to(outside)
    (tree.root("ann@example.org") / "cur" / "link:2,S").symlink_to(victim)
    assert (await do(effect, by_digest("ann@example.org"))).after == [DONE]
    assert victim.read_bytes() == CAMPAIGN


async def test_what_is_held_is_closed_to_others_and_no_folder_of_the_mailbox(
    tree: MailTree, effect: SoftDeleteMessages
) -> None:
    """The hold lies outside the Maildir, and only its owner may enter."""
    await do(effect, by_digest("ann@example.org"))
    hold = tree.base / "ann@example.org" / ".quell-Maildir"
    assert hold.stat().st_mode & 0o777 == 0o700
    assert not [path for path in tree.root("ann@example.org").rglob("*") if "quell" in path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
async def test_a_hold_that_somebody_else_made_is_not_used(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """A user who makes the folder beforehand gets nothing into it, and loses nothing."""
    hold = tree.base / "ann@example.org" / ".quell-Maildir"
    hold.mkdir()
    os.chown(hold, 12345, 12345)
    before = photographs(tree)
    with pytest.raises(RefusedError, match="HOLD_NOT_OURS"):
        await do(effect, by_digest())
    assert tree.photograph("ann@example.org") == before[0]
    assert tree.photograph("bob@example.org") != before[1]


@pytest.mark.parametrize("at", range(1, 14))
async def test_after_a_crash_at_any_point_nothing_is_lost_or_doubled(tree: MailTree, parser: Parser, at: int) -> None:
    """Killed between any two steps of a cluster in one mailbox, then recovered: all held once, and all come back."""
    for number in range(5):
        tree.deliver("ann@example.org", CAMPAIGN + b"%d" % number, base=f"{number}.more")
    before = photographs(tree)
    order = cluster(sender_domain="evil.example", mailboxes=["mailboxes/ann@example.org"])
    crash = Crash(at)
    dying = SoftDeleteMessages(Maildirs(tree.pattern, Index(parser), crash))
    plan = await dying.plan(order, None)
    died = False
    try:
        await dying.apply(plan, Silent())
        await dying.apply(await dying.plan_revert(plan), Silent())
    except CrashError:
        died = True
    assert died
    reborn = SoftDeleteMessages(Maildirs(tree.pattern, Index(parser)))
    assert (await carry_out(reborn, plan)).after == [DONE] * 6
    kept = [path for path in (tree.base / "ann@example.org" / ".quell-Maildir").iterdir() if path.suffix != ".json"]
    assert len(kept) == 6
    assert (await undo(reborn, plan)).after == [DONE] * 6
    assert photographs(tree) == before


class CountingParser(Parser):
    """Counts what it is asked."""

    asked = 0

    def headers(self, start: bytes) -> Headers | None:
        """Count."""
        self.asked += 1
        return super().headers(start)


async def test_a_second_look_reads_only_what_is_new(tree: MailTree) -> None:
    """What was read once is known, until the file is touched."""
    with contextlib.closing(CountingParser()) as parser:
        effect = SoftDeleteMessages(Maildirs(tree.pattern, Index(parser)))
        order = cluster(sender_domain="evil.example")
        await effect.plan(order, None)
        assert parser.asked == 9
        await effect.plan(order, None)
        assert parser.asked == 9
        tree.deliver("ann@example.org", ordinary(99), base="99.new")
        await effect.plan(order, None)
        assert parser.asked == 10


async def test_with_more_mail_than_is_remembered_most_of_it_is_still_known(tree: MailTree) -> None:
    """One message too many does not have all the others read anew each time."""
    for number in range(100, 200):
        tree.deliver("ann@example.org", ordinary(number), base=f"{number}.more")
    with contextlib.closing(CountingParser()) as parser:
        effect = SoftDeleteMessages(Maildirs(tree.pattern, Index(parser, most=100)))
        await effect.plan(cluster(sender_domain="evil.example"), None)
        assert parser.asked == 109
        await effect.plan(cluster(sender_domain="evil.example"), None)
        assert parser.asked < 2 * 109 - 20
