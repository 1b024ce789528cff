"""What only a mail server does: it dies, refuses, tells UIDs, and has a hold that no user can see."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from imapclient.exceptions import IMAPClientError
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import ACTION, DONE, PLANNED, Silent, carry_out, do, undo
from eventually import eventually
from mail_deaths import Killing
from mail_lab import MASTER, USERS, MailLab
from mail_tree import CAMPAIGN, ordinary, sha256
from mail_worlds import ANN, ImapWorld, Seen, crlf
from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Place
from quell_email.domain.selection import Criterion
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.imap.backend import ImapMailboxes
from quell_email.imap.index import Index
from quell_email.parsing.parser import Parser
from quell_executor.effect import RefusedError
from quell_runtime.addresses import parse

DIGEST = sha256(CAMPAIGN)
COPY, NOTE = Seen("INBOX", CAMPAIGN), Seen("INBOX", crlf(ordinary(1)))
HOLD = f"Recoverable Items/quell/{ACTION}"


@pytest.fixture
async def world(lab: MailLab, parser: Parser, tmp_path: Path) -> AsyncIterator[ImapWorld]:
    """Return empty mailboxes."""
    world = ImapWorld(lab, parser, tmp_path)
    try:
        yield world
    finally:
        await world.close()


@pytest.fixture
def server(lab: MailLab) -> Iterator[MailLab]:
    """Return the server, which is running again afterwards."""
    yield lab
    if lab.process is None:
        lab.start()


def order(**fields: object) -> email_pb2.SoftDeleteMessages:
    """Order the campaign to be deleted, or a message that is named."""
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(sender_domain="evil.example"))
    if fields:
        ref = target_pb2.MessageRef(**fields)  # type: ignore[arg-type]
        selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
    return email_pb2.SoftDeleteMessages(messages=selector)


def many(number: int) -> list[Seen]:
    """Return messages of the campaign, all different, in two folders."""
    raws = (CAMPAIGN + b"%d\r\n" % one for one in range(number))
    return [Seen(("INBOX", "Later")[one % 2], raw, ("\\Seen",), ("Work",)) for one, raw in enumerate(raws)]


def another(world: ImapWorld, changes: Mapping[str, object] | None = None, *, patience_s: float = 10) -> ImapMailboxes:
    """Return a backend with other settings."""
    found = ImapMailboxes(world.server.model_copy(update=changes), Index(world.parser), patience_s=patience_s)
    world.backends.append(found)
    return found


async def test_no_user_can_see_open_or_delete_what_is_held(world: ImapWorld) -> None:
    """Their own login has no such namespace; the executor's has it, which shows that the check can see it."""
    world.deliver(ANN, COPY)
    await do(SoftDeleteMessages(world.mailboxes), order())
    held = f"{HOLD}/INBOX"
    with world.lab.user(ANN) as user:
        assert not [name for _, _, name in user.list_folders() if name.startswith("Recoverable")]
        for touch in (user.select_folder, user.delete_folder, user.folder_status):
            with pytest.raises(IMAPClientError, match="doesn't exist"):
                touch(held)
    with world.lab.executor(ANN) as ours:
        assert ours.folder_status(held, ["MESSAGES"])[b"MESSAGES"] == 1


async def test_a_location_tells_a_message_as_long_as_uidvalidity_is_the_same(world: ImapWorld) -> None:
    """A UID of another UIDVALIDITY is refused; one that is not there, or of a folder that is not, finds nothing."""
    world.deliver(ANN, NOTE, COPY)
    effect = SoftDeleteMessages(world.mailboxes)
    with world.lab.user(ANN) as user:
        validity = user.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"]

    def at(folder: str, uid: int, validity: int = validity) -> email_pb2.SoftDeleteMessages:
        location = target_pb2.MailLocation(folder=folder, uid_validity=validity, uid=uid)
        return order(mailbox=f"mailboxes/{ANN}", location=location)

    assert [item.item.message.sha256 for item in (await effect.plan(at("INBOX", 2), None)).items] == [DIGEST]
    assert not (await effect.plan(at("INBOX", 3), None)).items
    assert not (await effect.plan(at("Nowhere", 2), None)).items
    with pytest.raises(RefusedError, match="UIDVALIDITY_CHANGED"):
        await effect.plan(at("INBOX", 2, validity + 1), None)


def bodies_read(lab: MailLab) -> int:
    """Return how many bytes of bodies all connections that have ended were sent, as the server's log says."""
    return sum(map(int, re.findall(r"body_bytes=(\d+)", (lab.folder / "dovecot.log").read_text())))


async def test_no_message_is_read_twice(world: ImapWorld) -> None:
    """Not for a second look, nor after it was taken and put back; the control reads all by another backend."""
    sizes = sum(len(seen.raw) for seen in many(60))
    world.deliver(ANN, *many(60))
    await asyncio.sleep(0)
    before = bodies_read(world.lab)
    effect = SoftDeleteMessages(world.mailboxes)
    await effect.plan(order(), None)
    run = await do(effect, order())
    assert (await undo(effect, run.plan)).after == [DONE] * 60
    assert len((await effect.plan(order(), None)).items) == 60
    await world.backends[0].close()

    async def read() -> int:
        return bodies_read(world.lab) - before

    # The rest is the ledger.
    assert sizes <= await eventually(read, lambda number: number >= sizes) < 2 * sizes
    control = another(world)
    await SoftDeleteMessages(control).plan(order(), None)
    await control.close()
    await eventually(read, lambda number: number >= 2 * sizes)


async def test_a_server_that_is_away_is_said_to_be_and_nothing_is_changed(world: ImapWorld, server: MailLab) -> None:
    """Refused for now, before and in the middle; when it is back, the same goes through."""
    world.deliver(ANN, COPY, NOTE)
    effect = SoftDeleteMessages(another(world, patience_s=0))
    plan = replace(await effect.plan(order(), None), action=ACTION)
    server.kill()
    for away in (effect.plan(order(), None), effect.apply(plan, Silent()), effect.probe(plan)):
        with pytest.raises(RefusedError, match="BACKEND_AWAY") as refusal:
            await away
        assert refusal.value.failure.retryable
    server.start()
    assert world.see(ANN) == [NOTE, COPY]
    assert (await carry_out(effect, plan)).after == [DONE]
    assert world.see(ANN) == [NOTE]


@pytest.mark.parametrize("after_s", [0, 0.003, 0.01, 0.03])
async def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    world: ImapWorld, server: MailLab, after_s: float
) -> None:
    """Forth and back: killed while it moves hundreds, it comes back, and all is carried out exactly."""
    world.deliver(ANN, *many(200), NOTE)
    before = world.see(ANN)
    for back in (False, True):
        killing = Killing(server, "imap.entered", after_s)
        effect = SoftDeleteMessages(world.another(killing))
        plan = replace(await effect.plan(order(), None), action=ACTION)
        await effect.apply(await effect.plan_revert(plan) if back else plan, Silent())
        assert killing.killed
        killing.killed.join(30)
        assert world.held(ANN) == (0 if back else 200)
        assert world.see(ANN) == (before if back else [NOTE])


@pytest.mark.parametrize("back", [False, True])
async def test_a_move_that_the_server_did_by_half_is_finished(world: ImapWorld, back: bool) -> None:  # noqa: FBT001
    """It copied two of three and died before it removed any: they are there once, in the end. Forth and back."""
    twins = [COPY, Seen("INBOX", CAMPAIGN, ("\\Flagged",)), Seen("INBOX", CAMPAIGN + b"other\r\n")]
    world.deliver(ANN, *twins, NOTE)
    before = world.see(ANN)
    effect = SoftDeleteMessages(world.mailboxes)
    plan = replace(await effect.plan(order(), None), action=ACTION)
    source, target = "INBOX", f"{HOLD}/INBOX"
    if back:
        await effect.apply(plan, Silent())
        source, target = target, source

    def die(name: str) -> None:
        if name == "imap.entered":
            with world.lab.executor(ANN) as client:
                client.select_folder(source)
                client.copy(client.search()[:2], target)
            raise RuntimeError

    dying = SoftDeleteMessages(world.another(die))
    with pytest.raises(RuntimeError):
        await dying.apply(await effect.plan_revert(plan) if back else plan, Silent())
    assert len(world.see(ANN)) + world.held(ANN) == 6
    reborn = SoftDeleteMessages(world.another())
    assert (await carry_out(reborn, await reborn.plan_revert(plan) if back else plan)).after == [DONE] * 2
    assert (len(world.see(ANN)), world.held(ANN)) == ((4, 0) if back else (1, 3))
    await undo(reborn, plan)
    assert world.see(ANN) == before


async def test_what_is_held_without_a_ledger_is_not_purged_before_its_time(world: ImapWorld) -> None:
    """Nobody can tell any more when it was taken: its time begins anew, and it comes back until that is over."""
    world.deliver(ANN, COPY, NOTE)
    before = world.see(ANN)
    effect = SoftDeleteMessages(world.mailboxes)
    now = datetime.now(UTC)
    for ends in (False, True):
        run = await do(effect, order())
        with world.lab.executor(ANN) as client:
            client.delete_folder("Recoverable Items/quell/ledger")
        mailboxes = world.another()
        assert [await mailboxes.purge(ANN, now - timedelta(hours=1)) for _ in range(2)] == [0, 0]
        assert world.held(ANN) == 1
        if ends:
            assert await mailboxes.purge(ANN, now + timedelta(hours=1)) == 1
            assert world.see(ANN) == [NOTE]
        else:
            await undo(SoftDeleteMessages(mailboxes), run.plan)
            assert world.see(ANN) == before


async def test_where_the_server_refuses_one_copy_none_is_added(world: ImapWorld) -> None:
    """Alone or among many: the others are taken out again, and what is not refused is added."""
    world.deliver(ANN, NOTE)
    good, bad = Place("INBOX", date_us=1_700_000_000_000_000), Place("INBOX", flags=("\\Bogus",))
    mailboxes = world.mailboxes
    with pytest.raises(HinderedError, match="SERVER_REFUSED"):
        await mailboxes.add(ANN, CAMPAIGN, [good, bad])
    assert world.see(ANN) == [NOTE]
    other, raws = CAMPAIGN + b"other\r\n", {DIGEST: CAMPAIGN}
    raws[sha256(other)] = other
    wanted = {DIGEST: [good, bad], sha256(other): [good]}
    assert await mailboxes.add_each(ANN, wanted, raws.get) == [sha256(other)]
    assert sorted(seen.raw for seen in world.see(ANN)) == sorted([NOTE.raw, other])


async def test_without_a_hidden_namespace_nothing_is_taken(world: ImapWorld) -> None:
    """What we held would be in sight: it is refused, and no folder is made."""
    world.deliver(ANN, COPY)
    effect = SoftDeleteMessages(another(world, {"hidden_namespace": "Elsewhere"}))
    plan = replace(await effect.plan(order(), None), action=ACTION)
    with pytest.raises(RefusedError, match="HOLD_UNAVAILABLE"):
        await effect.apply(plan, Silent())
    assert world.see(ANN) == [COPY]
    assert [finding.state for finding in await effect.probe(plan)] == [PLANNED]


async def test_a_wrong_password_is_told_and_is_not_in_any_log(
    world: ImapWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server lets nobody in; the refusal says so and no more. A file that is put right is read anew."""
    world.deliver(ANN, COPY)
    secret = tmp_path / "password"
    secret.write_text("never-shown\n")
    backend = another(world)
    with pytest.raises(RefusedError, match="BACKEND_LOGIN_REFUSED") as refusal:
        await backend.look(ANN, [DIGEST], sent=False)
    assert "never-shown" not in str(refusal.value) + "".join(capsys.readouterr())
    secret.write_text(MASTER)
    assert (await backend.look(ANN, [DIGEST], sent=False)).visible == {DIGEST}


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_tls_is_spoken_and_the_certificate_checked(world: ImapWorld, tls: str) -> None:
    """With our own authority it works; the control trusts others, and gets nowhere."""
    world.deliver(ANN, COPY)
    port = world.lab.imaps if tls == "implicit" else world.lab.imap
    changes = {"tls": tls, "address": parse(f"127.0.0.1:{port}")}
    trusting = another(world, {**changes, "ca": world.lab.ca})
    assert (await trusting.look(ANN, [DIGEST], sent=False)).visible == {DIGEST}
    with pytest.raises(RefusedError, match="BACKEND_AWAY"):
        await another(world, changes, patience_s=0).look(ANN, [DIGEST], sent=False)


async def test_there_are_never_more_connections_than_allowed(world: ImapWorld) -> None:
    """Twenty mailboxes are looked at together over three connections; each is let go for the next."""
    (world.server.mailboxes).write_text("\n".join(USERS[:20]))
    backend = another(world, {"max_connections": 3})
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            status = await asyncio.to_thread(world.lab.connections)
            most = max(most, status)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(backend.find(user, [Criterion(sha256=DIGEST)], sent=False) for user in USERS[:20]))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert 1 <= most <= 3
