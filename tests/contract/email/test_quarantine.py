"""QuarantineService: what there is, and what it says, safely; nobody looks without the audit log having it first."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.email.v1 import quarantine_service_pb2, quarantine_service_pb2_grpc, quarantined_message_pb2
from quell.remediation.v1 import email_pb2, outcome_pb2, remediation_pb2, target_pb2

from email_house import Conversation, EmailHouse
from eventually import eventually
from mail_tree import ATTACHMENT, CAMPAIGN, sha256
from promised_errors import promised
from quarantine import all_seen
from quell_runtime.client import problem

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
QUARANTINE = remediation_pb2.Remediation(
    quarantine_messages=email_pb2.QuarantineMessages(
        messages=target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(sender_domain="evil.example"))
    )
)
List = quarantine_service_pb2.ListQuarantinedMessagesRequest
View = quarantine_service_pb2.ViewQuarantinedMessageRequest
Stub = Any
NONSENSE = "x"


@asynccontextmanager
async def stub(house: EmailHouse, who: str = "ann") -> AsyncIterator[Stub]:
    """Call the service as somebody."""
    async with house.channel(who) as channel:
        yield quarantine_service_pb2_grpc.QuarantineServiceStub(channel)


async def taken(talk: Conversation) -> str:
    """Quarantine the campaign, and return the action."""
    done = await talk.carry_out(QUARANTINE)
    assert (done.outcome.effect, done.outcome.items.done_items) == (outcome_pb2.EFFECT_STATE_IN_FORCE, 3)
    return done.action


async def listed(
    house: EmailHouse, condition: str = "", order_by: str = ""
) -> list[quarantined_message_pb2.QuarantinedMessage]:
    """Return what is listed."""
    async with stub(house, "carol") as service:
        answer = await service.ListQuarantinedMessages(List(filter=condition, order_by=order_by), timeout=10)
    return list(answer.messages)


async def test_what_was_taken_is_listed_for_ever_with_where_it_is(house: EmailHouse) -> None:
    """Each message with its mailbox, its action and its times; one that was released says so."""
    async with house.conversation() as talk:
        action = await taken(talk)
        found = await listed(house, order_by="name")
        assert {each.message.mailbox for each in found} == {f"mailboxes/{address}" for address in ALL}
        assert {(each.message.subject, *each.senders) for each in found} == {
            ("Re: Your salary €", "pay@mail.evil.example")
        }
        assert {each.action for each in found} == {action}
        assert {each.purge_time.ToSeconds() - each.take_time.ToSeconds() for each in found} == {30 * 86400}
        some = email_pb2.ReleaseMessages(action=action, mailboxes=[f"mailboxes/{ALL[1]}"])
        await talk.carry_out(remediation_pb2.Remediation(release_messages=some))
    bob = await listed(house, f'mailbox = "mailboxes/{ALL[1]}"')
    assert [(each.state, each.HasField("end_time")) for each in bob] == [
        (quarantined_message_pb2.QUARANTINE_STATE_RELEASED, True)
    ]
    held = await listed(house, f'state = HELD AND action = "{action}"')
    assert {each.message.mailbox for each in held} == {f"mailboxes/{ALL[0]}", f"mailboxes/{ALL[2]}"}
    assert await listed(house, "state = PURGED") == []


async def test_a_list_comes_in_pages(house: EmailHouse) -> None:
    """Each goes on after the one before; together they are the whole."""
    async with house.conversation() as talk:
        await taken(talk)
    whole = await listed(house, order_by="purge_time desc")
    pages, sizes, token = [], [], ""
    async with stub(house) as service:
        for _ in range(2):
            request = List(page_size=2, page_token=token, order_by="purge_time desc")
            answer = await service.ListQuarantinedMessages(request, timeout=10)
            pages += answer.messages
            sizes.append(len(answer.messages))
            token = answer.next_page_token
    assert (token, sizes, pages) == ("", [2, 1], whole)


async def test_who_looks_stands_in_the_log_before_anything_is_shown(house: EmailHouse) -> None:
    """The centre hears who and why; only when it has stored that, there is an answer: text alone."""
    async with house.conversation() as talk:
        await taken(talk)
        (first, *_) = await listed(house)
        async with stub(house, "bob") as service:
            call = service.ViewQuarantinedMessage(View(name=first.name, comment="is it a phish?"), timeout=20)
            looking = asyncio.ensure_future(call)
            await talk.until(lambda: talk.center.messages[-1].HasField("accesses"))
            assert not looking.done()
            access = await talk.noted()
            shown = await looking
    assert (access.actor, access.resource, access.comment) == ("bob", first.name, "is it a phish?")
    assert shown.message == first
    headers = {header.name: header.value for header in shown.view.headers}
    assert headers["From"] == '"Payroll" <pay@mail[.]evil[.]example>'
    assert "hxxps://evil[.]example/" in shown.view.text
    assert "http" not in shown.view.text
    assert [(part.file_name, part.sha256) for part in shown.view.parts] == [("bill.pdf", ATTACHMENT)]


@pytest.mark.parametrize("stored", [1, 300, 700])
async def test_killed_in_mid_cluster_it_finishes_with_none_lost_or_doubled(house: EmailHouse, stored: int) -> None:
    """Kill -9 when some of 800 messages are in the vault; started again, the receipt says all, and undo brings all."""
    for number in range(800):
        house.tree.deliver(ALL[0], CAMPAIGN + b"%d" % number, base=f"{number}.more")
    before = all_seen(house.tree)
    contents = house.config.parent / "data/vault/contents"

    async def there() -> int:
        return sum(1 for _ in contents.iterdir())

    async with house.conversation() as talk:
        warrant = await talk.order(QUARANTINE)
        await eventually(there, lambda count: count >= stored, within=30)
        await house.kill()
    await house.start()
    async with house.conversation() as talk:
        done = await talk.receipt(warrant)
        assert (done.outcome.effect, done.outcome.items.done_items) == (outcome_pb2.EFFECT_STATE_IN_FORCE, 803)
        gone = {facts[0] for address in ALL for facts in house.tree.photograph(address).messages.values()}
        assert not any(raw.startswith(CAMPAIGN) for raw in gone)
        undone = await talk.carry_out(QUARANTINE, undo_of=warrant.action)
        assert undone.outcome.items.done_items == 803
    assert all_seen(house.tree) == before
    assert await there() == 0


async def test_after_the_journal_is_lost_the_vaults_own_records_release_exactly(house: EmailHouse) -> None:
    """What they tell of is reported as inherited, and a release by hand of the action that they name brings it back."""
    before = all_seen(house.tree)
    async with house.conversation() as talk:
        action = await taken(talk)
    await house.kill()
    shutil.rmtree(house.config.parent / "data/journal")
    house.center.reports.clear()
    await house.start()
    async with house.conversation() as talk:
        await talk.until(lambda: len([one for one in talk.center.reports if one.HasField("inherited")]) == 3)
        assert {report.effect for report in talk.center.reports} == {outcome_pb2.EFFECT_STATE_IN_FORCE}
        release = remediation_pb2.Remediation(release_messages=email_pb2.ReleaseMessages(action=action))
        assert (await talk.carry_out(release)).outcome.items.done_items == 3
    assert all_seen(house.tree) == before


async def test_who_is_excluded_is_told_in_the_preview_and_left_alone(house: EmailHouse) -> None:
    """By the service's own configuration: no warrant lifts it."""
    await house.kill()
    with house.config.open("a") as config:
        config.write(f'\n[exclusions]\nmailboxes = ["{ALL[0].upper()}"]\n')
        simulation = '[[exclusions.simulations]]\nsender = "evil.example"\nnetworks = ["203.0.113.0/24"]\n'
        config.write(simulation)
    await house.start()
    before = all_seen(house.tree)
    async with house.conversation() as talk:
        seen = await talk.seen(QUARANTINE)
        assert seen.item_count == 3
        assert sorted(note.split("(")[-1] for note in seen.notes) == ["EXCLUDED_MAILBOX)", "EXCLUDED_SIMULATION)"]
        done = await talk.carry_out(QUARANTINE)
        assert (done.outcome.items.refused_items, done.failure.reason) == (3, "EXCLUDED_MAILBOX")
    assert all_seen(house.tree) == before


PROVOKED: set[tuple[str, str, str]] = set()


async def refused(service: Stub, request: Message, code: Code, reason: str) -> None:
    """Hold that a request is refused like this."""
    method = type(request).__name__.removesuffix("Request")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await getattr(service, method)(request, timeout=20)
    found = problem(refusal.value)
    assert (found.code, found.reason) == (code, reason)
    PROVOKED.add((method, code.name, reason))


async def test_every_refusal_that_is_promised(house: EmailHouse) -> None:
    """And no other: who may not, what can't be read, what is not there, not there any more, damaged or illegible."""
    bomb = b"Subject: x\r\nX: " + b"a" * (2 << 20) + b"\r\n\r\nbody"
    named = target_pb2.MessageRef(mailbox=f"mailboxes/{ALL[0]}", sha256=sha256(bomb))
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    order = email_pb2.QuarantineMessages(messages=selector)
    async with house.conversation() as talk, stub(house) as ann:
        await refused(ann, List(filter="colour = red"), Code.INVALID_ARGUMENT, "FILTER_INVALID")
        await refused(ann, List(order_by="colour"), Code.INVALID_ARGUMENT, "ORDER_INVALID")
        await refused(ann, List(page_token=NONSENSE), Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
        nobody = View(name=f"quarantinedMessages/{'0' * 32}", comment="x")
        await refused(ann, nobody, Code.NOT_FOUND, "QUARANTINED_MESSAGE_UNKNOWN")
        action = await taken(talk)
        house.tree.deliver(ALL[0], bomb, base="9.bomb")
        (name,) = [each.name for each in await listed(house, f'mailbox = "{ALL[1]}"')]
        (other,) = [each.name for each in await listed(house, f'mailbox = "{ALL[2]}"')]
        some = email_pb2.ReleaseMessages(action=action, mailboxes=[f"mailboxes/{ALL[1]}"])
        await talk.carry_out(remediation_pb2.Remediation(release_messages=some))
        await refused(ann, View(name=name, comment="x"), Code.FAILED_PRECONDITION, "NOT_IN_QUARANTINE")
        await talk.carry_out(remediation_pb2.Remediation(quarantine_messages=order))
        (illegible,) = [each.name for each in await listed(house, f'mailbox = "{ALL[0]}" AND action != "{action}"')]
        wrong = asyncio.ensure_future(
            refused(ann, View(name=illegible, comment="x"), Code.FAILED_PRECONDITION, "MESSAGE_UNPARSABLE")
        )
        await talk.noted()
        await wrong
        locked = house.config.parent / "data/vault/contents" / sha256(CAMPAIGN)
        locked.write_bytes(locked.read_bytes()[:-1])
        wrong = asyncio.ensure_future(refused(ann, View(name=other, comment="x"), Code.DATA_LOSS, "CONTENT_DAMAGED"))
        await talk.noted()
        await wrong
    async with stub(house) as ann, stub(house, "carol") as carol:
        await refused(ann, View(name=other, comment="x"), Code.UNAVAILABLE, "AUDIT_AWAY")
        ours = {each for each in promised("email/v1") if "Quarantined" in each[0]}
        assert ours == PROVOKED
        await refused(carol, View(name=other, comment="x"), Code.PERMISSION_DENIED, "NOT_PERMITTED")
        await refused(ann, View(name=other), Code.INVALID_ARGUMENT, "FIELD_INVALID")
