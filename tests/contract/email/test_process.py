"""The email service over real gRPC: warrants in, receipts out, mail moved; and it survives being killed."""

import os
from datetime import timedelta

import httpx
import pytest
from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2, target_pb2

from email_house import LINK_KEY, EmailHouse
from eventually import eventually
from mail_tree import CAMPAIGN, MailTree
from quell_runtime.click_links import link
from quell_runtime.kinds import kinds

IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
CLUSTER = remediation_pb2.Remediation(
    soft_delete_messages=email_pb2.SoftDeleteMessages(
        messages=target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(sender_domain="evil.example"))
    )
)
BLOCK = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="evil.example"))
UNBLOCK = remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="EVIL.example."))


async def test_a_cluster_goes_and_comes_back_whole_or_in_part(house: EmailHouse) -> None:
    """Preview, delete, restore one mailbox by hand, undo the rest: in the end every mailbox is as it was."""
    before = [house.tree.photograph(address) for address in ALL]
    async with house.conversation() as talk:
        assert (await talk.seen(CLUSTER)).item_count == 3
        done = await talk.carry_out(CLUSTER)
        assert (done.outcome.effect, done.outcome.items.done_items) == (IN_FORCE, 3)
        assert done.outcome.undo == outcome_pb2.UNDO_STATE_POSSIBLE
        gone = {facts[0] for address in ALL for facts in house.tree.photograph(address).messages.values()}
        assert CAMPAIGN not in gone
        again = await talk.carry_out(CLUSTER)
        assert again.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
        some = email_pb2.RestoreMessages(action=again.action, mailboxes=["mailboxes/Bob@example.org"])
        back = await talk.carry_out(remediation_pb2.Remediation(restore_messages=some))
        assert (back.outcome.effect, back.outcome.items.done_items) == (IN_FORCE, 1)
        assert house.tree.photograph("bob@example.org") == before[1]
        assert house.tree.photograph("ann@example.org") != before[0]
        undone = await talk.carry_out(CLUSTER, undo_of=again.action)
        assert (undone.outcome.effect, undone.outcome.items.done_items) == (IN_FORCE, 2)
    assert [house.tree.photograph(address) for address in ALL] == before


async def test_what_came_later_is_a_list_of_its_own(house: EmailHouse) -> None:
    """What was on the approved list is left out wherever it is by now: moved by people, held by us, or deleted."""
    async with house.conversation() as talk:
        first = await talk.seen(CLUSTER)
        await talk.carry_out(CLUSTER)
        assert (await talk.seen(CLUSTER, [first.snapshot_digest])).item_count == 0
        house.tree.deliver("bob@example.org", CAMPAIGN + b"later", base="later.more")
        later = await talk.seen(CLUSTER, [first.snapshot_digest])
        assert later.item_count == 1
        assert (await talk.seen(CLUSTER, [first.snapshot_digest, later.snapshot_digest])).item_count == 0


async def test_a_renamed_folder_is_a_conflict_that_is_told(house: EmailHouse) -> None:
    """The others come back; that one stays where it is held, and the receipt says why."""
    async with house.conversation() as talk:
        done = await talk.carry_out(CLUSTER)
        work = house.tree.root("cleo@example.org") / ".Work"
        work.rename(work.with_name(".Else"))
        undone = await talk.carry_out(CLUSTER, undo_of=done.action)
        assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        states = {item.state: item.failure.reason for item in talk.center.items(undone.action)}
        assert states == {item_pb2.ITEM_STATE_DONE: "", item_pb2.ITEM_STATE_CONFLICT: "FOLDER_GONE"}


async def test_what_was_held_for_44_days_is_purged_and_undo_says_so(house: EmailHouse) -> None:
    """Without any setting; the control is each other test here: what was just taken comes back."""
    async with house.conversation() as talk:
        done = await talk.carry_out(CLUSTER)
    holds = [house.tree.base / address / ".quell-Maildir" for address in ALL]
    long_ago = (house.center.clock.now() - timedelta(days=45)).timestamp()
    for record in (path for hold in holds for path in hold.glob("*.json")):
        os.utime(record, (long_ago, long_ago))
    await house.kill()
    await house.start()

    async def kinds() -> set[str]:
        return {path.suffix for hold in holds for path in hold.iterdir()}

    await eventually(kinds, lambda found: found == {".purged"})
    async with house.conversation() as talk:
        undone = await talk.carry_out(CLUSTER, undo_of=done.action)
        assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
        told = [(item.state, item.failure.reason) for item in talk.center.items(undone.action)]
    assert told == [(item_pb2.ITEM_STATE_MISSING, "MESSAGE_PURGED")] * 3


@pytest.mark.parametrize("moved", [1, 400, 1100])
async def test_killed_in_mid_cluster_it_finishes_with_none_lost_or_doubled(house: EmailHouse, moved: int) -> None:
    """Kill -9 when some messages of 1,200 are moved; started again, the receipt says all, and undo brings all back."""
    tree: MailTree = house.tree
    for number in range(1200):
        tree.deliver("ann@example.org", CAMPAIGN + b"%d" % number, base=f"{number}.more")
    before = [tree.photograph(address) for address in ALL]
    hold = tree.base / "ann@example.org" / ".quell-Maildir"

    async def held() -> int:
        return len([path for path in hold.iterdir() if path.suffix not in (".json", ".new")]) if hold.exists() else 0

    async with house.conversation() as talk:
        warrant = await talk.order(CLUSTER)
        await eventually(held, lambda count: count >= moved, within=30)
        await house.kill()
    await house.start()
    async with house.conversation() as talk:
        done = await talk.receipt(warrant)
        assert (done.outcome.effect, done.outcome.items.done_items) == (IN_FORCE, 1203)
        assert await held() == 1201
        undone = await talk.carry_out(CLUSTER, undo_of=warrant.action)
        assert undone.outcome.items.done_items == 1203
    assert [tree.photograph(address) for address in ALL] == before


async def test_a_block_is_active_at_the_click_and_outlives_kill_9(house: EmailHouse) -> None:
    """Blocked by warrant, refused over HTTP, still so after a kill, and let through by a release."""
    url = link(f"http://127.0.0.1:{house.click_port}", LINK_KEY, "https://www.evil.example/login")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 302
        async with house.conversation() as talk:
            assert (await talk.carry_out(BLOCK)).outcome.effect == IN_FORCE
            assert (await client.get(url)).status_code == 403
        await house.kill()
        await house.start()
        assert (await client.get(url)).status_code == 403
        async with house.conversation() as talk:
            assert (await talk.carry_out(UNBLOCK)).outcome.effect == IN_FORCE
        assert (await client.get(url)).status_code == 302


async def test_what_cant_be_done_is_refused_with_its_reason(house: EmailHouse) -> None:
    """By a receipt, not by a broken stream."""
    suffix = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="*.co.uk"))
    async with house.conversation() as talk:
        refused = await talk.carry_out(suffix)
        assert refused.failure.reason == "PATTERN_INVALID"
        hello = talk.center.hellos[-1]
        ours = {kind.name for kind in kinds().values() if kind.plane == "email"}
        lacking = {kind.name: kind.missing for kind in hello.kinds if kind.missing}
        assert set(lacking) == {"turn_off_external_forwarding", "restore_external_forwarding"}
        assert set(lacking.values()) == {"neither homes nor [managesieve] is configured"}
        assert {kind.name for kind in hello.kinds} == ours


async def test_a_wrong_configuration_is_one_line_and_exit_code_2(house: EmailHouse) -> None:
    """It names the key."""
    text = house.config.read_text()
    imap = f'[imap]\nmaster_user = "exec"\nmaster_password = "{house.config}"\nmailboxes = "{house.config}"\n'
    for wrong, named in (
        ("mailboxes = 1\n" + text, "mailboxes"),
        (text.replace("{address}", "all"), "maildirs"),
        (text.replace("maildirs =", "# maildirs ="), "[imap]"),
        (
            f'{text}\n{imap}address = "127.0.0.1:993"',
            "toml: mailboxes are behind maildirs or behind [imap]: exactly one",
        ),
        (f'{text}\n{imap}address = "mail.example.org:143"\ntls = "none"', "imap: tls"),
        (f"{text}\n{imap}", "imap.address is missing"),
    ):
        house.config.write_text(wrong)
        process = await house.spawn()
        _, said = await process.communicate()
        assert process.returncode == 2
        assert said.count(b"\n") == 1
        assert named in said.decode()
