"""Attachments over real gRPC: taken out by warrant, put back by undo and by release; killed in the middle, too."""

import shutil
from collections import Counter

import pytest
from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2

from attachments import of_cluster, of_message
from email_house import EmailHouse
from eventually import eventually
from mail_tree import ATTACHMENT, CAMPAIGN, sha256
from quarantine import all_seen

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
OUT = remediation_pb2.Remediation(
    quarantine_attachment=of_cluster({"sha256": ATTACHMENT}, sender_domain="evil.example")
)
MANY = 150


def restore(action: str, *mailboxes: str) -> remediation_pb2.Remediation:
    """Order what an action took out to be put back by hand."""
    named = [f"mailboxes/{address}" for address in mailboxes]
    order = email_pb2.RestoreAttachment(action=action, mailboxes=named)
    return remediation_pb2.Remediation(restore_attachment=order)


def notices(house: EmailHouse) -> int:
    """Count the messages that have a notice."""
    seen = (facts[0] for address in ALL for facts in house.tree.photograph(address).messages.values())
    return sum(b"X-Quell" in raw for raw in seen)


async def test_it_goes_and_comes_back_whole_or_in_part(house: EmailHouse) -> None:
    """Preview, take out, again, put one back by hand, undo the rest: in the end every mailbox is as it was."""
    before = all_seen(house.tree)
    async with house.conversation() as talk:
        assert (await talk.seen(OUT)).item_count == 3
        done = await talk.carry_out(OUT)
        assert (done.outcome.effect, done.outcome.items.done_items) == (IN_FORCE, 3)
        assert done.outcome.undo == outcome_pb2.UNDO_STATE_POSSIBLE
        assert notices(house) == 3
        again = await talk.carry_out(OUT)
        assert again.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
        back = await talk.carry_out(restore(again.action, ALL[1]))
        assert (back.outcome.effect, back.outcome.items.done_items) == (IN_FORCE, 1)
        assert all_seen(house.tree)[ALL[1]] == before[ALL[1]]
        assert notices(house) == 2
        undone = await talk.carry_out(OUT, undo_of=again.action)
        assert (undone.outcome.effect, undone.outcome.items.done_items) == (IN_FORCE, 2)
    assert all_seen(house.tree) == before


async def test_what_is_refused_is_told_with_its_reason(house: EmailHouse) -> None:
    """By the receipt's items: signed mail stays as it is, and the rest is done."""
    signed = CAMPAIGN.replace(b"multipart/mixed", b"multipart/signed")
    house.tree.deliver(ALL[0], signed, base="7.signed")
    async with house.conversation() as talk:
        done = await talk.carry_out(OUT)
        assert done.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        told = Counter((item.state, item.failure.reason) for item in talk.center.items(done.action))
    assert told == {(item_pb2.ITEM_STATE_DONE, ""): 3, (item_pb2.ITEM_STATE_REFUSED, "MESSAGE_SIGNED"): 1}
    assert signed in [facts[0] for facts in house.tree.photograph(ALL[0]).messages.values()]


@pytest.mark.parametrize("changed", [1, MANY // 2])
async def test_killed_in_mid_cluster_it_finishes_with_none_lost_or_doubled(house: EmailHouse, changed: int) -> None:
    """Kill -9 when some messages are changed; started again, the receipt says all, and undo brings all back."""
    for number in range(MANY):
        house.tree.deliver(ALL[0], b"X-Number: %d\r\n" % number + CAMPAIGN, base=f"{number}.more")
    before = all_seen(house.tree)

    async def so_far() -> int:
        return notices(house)

    async with house.conversation() as talk:
        warrant = await talk.order(OUT)
        await eventually(so_far, lambda count: count >= changed, within=30)
        await house.kill()
    assert notices(house) < MANY + 3, "it was killed too late"
    await house.start()
    async with house.conversation() as talk:
        done = await talk.receipt(warrant)
        assert (done.outcome.effect, done.outcome.items.done_items) == (IN_FORCE, MANY + 3)
        assert notices(house) == MANY + 3
        assert sum(all_seen(house.tree)[ALL[0]].values()) == sum(before[ALL[0]].values())
        undone = await talk.carry_out(OUT, undo_of=warrant.action)
        assert undone.outcome.items.done_items == MANY + 3
    assert all_seen(house.tree) == before


async def test_all_of_it_is_put_back_by_hand_after_the_journal_is_lost(house: EmailHouse) -> None:
    """The vault's own records tell whose it is."""
    before = all_seen(house.tree)
    async with house.conversation() as talk:
        done = await talk.carry_out(OUT)
    await house.kill()
    shutil.rmtree(house.config.parent / "data/journal")
    await house.start()
    async with house.conversation() as talk:
        await talk.until(lambda: len([each for each in talk.center.reports if each.HasField("inherited")]) == 3)
        back = await talk.carry_out(restore(done.action))
        assert (back.outcome.effect, back.outcome.items.done_items) == (IN_FORCE, 3)
    assert all_seen(house.tree) == before


async def test_what_was_soft_deleted_since_is_a_conflict_until_it_is_back(house: EmailHouse) -> None:
    """Two kinds on one message, one after the other."""
    before = all_seen(house.tree)
    order = of_message({"sha256": ATTACHMENT}, ALL[0], sha256=sha256(CAMPAIGN))
    out = remediation_pb2.Remediation(quarantine_attachment=order)
    cluster = of_cluster({"part": "1"}, sender_domain="evil.example", mailboxes=[f"mailboxes/{ALL[0]}"])
    soft = remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages(messages=cluster.messages))
    async with house.conversation() as talk:
        taken = await talk.carry_out(out)
        deleted = await talk.carry_out(soft)
        assert (taken.outcome.effect, deleted.outcome.effect) == (IN_FORCE, IN_FORCE)
        refused = await talk.carry_out(out, undo_of=taken.action)
        assert [item.failure.reason for item in talk.center.items(refused.action)] == ["MESSAGE_HELD"]
        for remediation, action in ((soft, deleted.action), (out, taken.action)):
            assert (await talk.carry_out(remediation, undo_of=action)).outcome.effect == IN_FORCE
    assert all_seen(house.tree) == before
