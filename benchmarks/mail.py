"""Soft delete of a campaign in 50 mailboxes, and the look for it among much mail: each backend beside its limit."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from quell.remediation.v1 import email_pb2, target_pb2

from quell_email.domain.mailboxes import Mailboxes
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.imap.backend import ImapMailboxes
from quell_email.imap.index import Index as ImapIndex
from quell_email.imap.settings import ImapServer
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from mail_lab import DOVECOT, MASTER, OWNER, USERS, MailLab

CAMPAIGN = 200
"""Messages of the campaign in each mailbox: 10,000 in all."""
AMONG = 2000
"""Messages in each mailbox in which the campaign is looked for: 100,000 in all."""
SENDER = "pay@mail.evil.example"
ACTION = "00000000-0000-4000-8000-000000000001"
Line = Callable[..., None]
T = TypeVar("T")


class _Silent:
    """Nobody listens."""

    def report(self, message: str, percent: int | None = None) -> None:
        """Hear it."""


async def measure(line: Line, scale: int) -> None:
    """Measure it; without Dovecot and root there is nothing to measure."""
    if DOVECOT is None or os.geteuid() != 0:
        line("soft delete", "no Dovecot here, or not root")
        return
    for name, opened in (("Maildir", _on_disk), ("IMAP", _by_imap)):
        with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder, closing(Parser()) as parser:
            lab = MailLab(Path(folder))
            try:
                _fill(lab, CAMPAIGN // scale, AMONG // scale)
                lab.start()
                async with opened(lab, parser) as mailboxes:
                    await _campaign(line, name, lab, mailboxes)
            finally:
                lab.kill()


@asynccontextmanager
async def _on_disk(lab: MailLab, parser: Parser) -> AsyncIterator[Mailboxes]:
    yield Maildirs(f"{lab.folder}/mail/{{address}}/Maildir", Index(parser))


@asynccontextmanager
async def _by_imap(lab: MailLab, parser: Parser) -> AsyncIterator[Mailboxes]:
    listed, password = lab.folder / "mailboxes", lab.folder / "password"
    listed.write_text("\n".join(USERS))
    password.write_text(MASTER)
    told = {"address": f"127.0.0.1:{lab.imap}", "tls": "none", "master_user": "exec", "commands_per_second": 1_000_000}
    server = ImapServer.model_validate({**told, "mailboxes": listed, "master_password": password})
    mailboxes = ImapMailboxes(server, ImapIndex(parser))
    try:
        yield mailboxes
    finally:
        await mailboxes.close()


async def _campaign(line: Line, name: str, lab: MailLab, mailboxes: Mailboxes) -> None:
    effect = SoftDeleteMessages(mailboxes)
    cluster = target_pb2.MessageCluster(sender=SENDER)
    order = email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster))
    first, plan = await _timed(effect.plan(order, None))
    again, plan = await _timed(effect.plan(order, None))
    among = sum(len(files) for _, _, files in os.walk(lab.folder / "mail") if files)
    line(f"{name}: {len(plan.items):,} found among {among:,}, first / again", f"{first:.1f} / {again:.2f} s")
    silent = _Silent()
    taken, _ = await _timed(effect.apply(replace(plan, action=ACTION), silent))
    back, _ = await _timed(effect.apply(replace(plan, action=ACTION, reverts=True), silent))
    bare = _renamed if name == "Maildir" else _moved
    limit = await asyncio.to_thread(bare, lab, len(plan.items) // len(USERS))
    rate = len(plan.items) / taken
    line(f"{name}: soft delete of {len(plan.items):,}", f"{rate:,.0f}/s", f"{limit:,.0f}/s", f"{rate / limit:.2f}")
    line(f"{name}: put back", f"{len(plan.items) / back:,.0f}/s")


async def _timed(work: Awaitable[T]) -> tuple[float, T]:
    began = time.perf_counter()
    found = await work
    return time.perf_counter() - began, found


def _fill(lab: MailLab, campaign: int, among: int) -> None:
    """Write mailboxes as Dovecot does."""
    for address in USERS:
        root = lab.home(address) / "Maildir"
        for part in ("cur", "new", "tmp"):
            (root / part).mkdir(parents=True)
        for number in range(among):
            sender = SENDER if number < campaign else f"friend{number}@example.org"
            head = f"From: <{sender}>\nTo: {address}\nSubject: Mail {number}\nMessage-ID: <{number}.{address}>\n\n"
            (root / "cur" / f"17000{number:05}.M{number}P1.host:2,S").write_text(f"{head}{'Text of it.' * 90}\n")
        for path in (lab.home(address), *lab.home(address).rglob("*")):
            shutil.chown(path, OWNER, OWNER)


def _renamed(lab: MailLab, each: int) -> float:
    """Return how many files a second are renamed from one folder to another, and both made durable, with no more."""
    moved, began = 0, time.perf_counter()
    for address in USERS:
        source, target = lab.home(address) / "Maildir/cur", lab.home(address) / "bare"
        target.mkdir()
        for path in sorted(source.iterdir())[:each]:
            path.rename(target / path.name)
            moved += 1
        for folder in (source, target):
            handle = os.open(folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    return moved / (time.perf_counter() - began)


def _moved(lab: MailLab, each: int) -> float:
    """Return how many messages a second Dovecot's own `doveadm move` moves to the same place."""
    users = lab.folder / "users"
    users.write_text("\n".join(USERS) + "\n")
    base = ["/usr/bin/doveadm", "-c", str(lab.folder / "dovecot.conf"), "-o", "namespace/recover/disabled=no"]
    target = "Recoverable Items/bare"
    subprocess.run([*base, "mailbox", "create", "-F", str(users), target], check=True, capture_output=True)  # noqa: S603
    began = time.perf_counter()
    search = ["mailbox", "INBOX", "from", SENDER]
    subprocess.run([*base, "move", "-F", str(users), target, *search], check=True, capture_output=True)  # noqa: S603
    seconds = time.perf_counter() - began
    left = list((lab.home(USERS[0]) / "Maildir/cur").iterdir())
    assert not any(SENDER.encode() in path.read_bytes() for path in left)  # noqa: S101 - else nothing was measured
    return len(USERS) * each / seconds
