"""What the email service's own marks tell of, when no journal does: enough to put everything back exactly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2, target_pb2

from effect_runs import ACTION, DONE, do, undo
from kit_house import House
from mail_tree import CAMPAIGN, MailTree, sha256
from quell_email.effects.block_url import BlockUrl
from quell_email.effects.restore_messages import RestoreMessages
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.effects.unblock_url import UnblockUrl
from quell_email.store.urls import MIGRATIONS, UrlTable
from quell_executor.effect import Plan
from quell_runtime.seams import SystemClock
from quell_runtime.store.opening import opened

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


def campaign(*, sent: bool = False) -> email_pb2.SoftDeleteMessages:
    """Order the campaign deleted."""
    cluster = target_pb2.MessageCluster(sender_domain="evil.example")
    return email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster), include_sent_copies=sent)


async def test_marks_of_messages_put_each_back_exactly(tree: MailTree, effect: SoftDeleteMessages) -> None:
    """One a message: who took it, what would take it, and an item that undo brings back with."""
    before = [tree.photograph(address) for address in ALL]
    assert await effect.marks() == []
    run = await do(effect, campaign())
    marks = await effect.marks()
    assert [mark.item.key for mark in marks] == [item.key for item in run.plan.items]
    assert {mark.action for mark in marks} == {ACTION}
    again = [await effect.plan(mark.remediation.soft_delete_messages, None) for mark in marks]
    assert [item.key for plan in again for item in plan.items] == [mark.item.key for mark in marks]
    plan = Plan(tuple(mark.item for mark in marks), frozenset(), action=ACTION)
    assert [finding.state for finding in await effect.probe(plan)] == [DONE] * 3
    assert (await undo(effect, plan)).after == [DONE] * 3
    assert [tree.photograph(address) for address in ALL] == before
    assert await effect.marks() == []


@pytest.mark.parametrize("sent", [True, False])
async def test_a_copy_among_sent_mail_is_told_of_only_if_it_was_taken(
    tree: MailTree,
    effect: SoftDeleteMessages,
    sent: bool,  # noqa: FBT001 - a case
) -> None:
    """One that was not meant stays in sight, and makes nothing look undone."""
    tree.deliver("ann@example.org", CAMPAIGN, folder="Sent", base="9.sent")
    before = tree.photograph("ann@example.org")
    await do(effect, campaign(sent=sent))
    mark = next(mark for mark in await effect.marks() if "ann" in mark.item.key)
    assert mark.remediation.soft_delete_messages.include_sent_copies is sent
    plan = Plan((mark.item,), frozenset(), action=ACTION)
    assert [finding.state for finding in await effect.probe(plan)] == [DONE]
    assert (await undo(effect, plan)).after == [DONE]
    assert tree.photograph("ann@example.org") == before


@pytest.fixture
async def house(effect: SoftDeleteMessages, tmp_path: Path) -> AsyncIterator[House]:
    """Return the kit over a mail tree and a table of URLs."""
    async with opened(tmp_path / "urls", MIGRATIONS, name="urls") as store:
        found = House(tmp_path)
        found.more = {
            "soft_delete_messages": effect,
            "restore_messages": RestoreMessages(),
            "block_url": BlockUrl(await UrlTable.load(store, SystemClock())),
            "unblock_url": UnblockUrl(),
        }
        await found.move_in()
        await found.connect()
        yield found
        await found.crash()


async def test_all_of_it_is_taken_back_by_hand_after_the_journal_is_lost(house: House, tree: MailTree) -> None:
    """Messages by the action that took them, a URL by its pattern; both were reported before, and are so after."""
    before = [tree.photograph(address) for address in ALL]
    named = [target_pb2.MessageRef(mailbox=f"mailboxes/{address}", sha256=sha256(CAMPAIGN)) for address in ALL]
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=named))
    order = email_pb2.SoftDeleteMessages(messages=selector)
    deletion = await house.carry_out(
        remediation_pb2.Remediation(soft_delete_messages=order), snapshot_digest=await listed(house, order)
    )
    block = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="bad.example"))
    assert (await house.carry_out(block)).outcome.effect == IN_FORCE
    await house.crash()
    house.lose_journal()
    await house.move_in()
    await house.connect()
    await house.until(lambda: len([report for report in house.center.reports if report.HasField("inherited")]) == 4)
    assert {report.effect for report in house.center.reports} == {IN_FORCE}
    restore = remediation_pb2.Remediation(restore_messages=email_pb2.RestoreMessages(action=deletion.action))
    restored = await house.carry_out(restore)
    assert [outcome.state for outcome in house.center.items(restored.action)] == [item_pb2.ITEM_STATE_DONE] * 3
    assert [tree.photograph(address) for address in ALL] == before
    unblock = remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="bad.example"))
    assert (await house.carry_out(unblock)).outcome.effect == IN_FORCE
    assert await house.more["block_url"].marks() == []


async def listed(house: House, order: email_pb2.SoftDeleteMessages) -> bytes:
    """Have the list kept that a warrant for a cluster names."""
    house.say(
        plan={
            "id": "6f1c4f0e-0000-4000-8000-000000000002",
            "remediation": remediation_pb2.Remediation(soft_delete_messages=order),
            "keep_time": house.clock.now().replace(year=2027),
        }
    )
    await house.until(lambda: any(plan.HasField("summary") for plan in house.center.plans))
    return house.center.plans[-1].summary.snapshot_digest
