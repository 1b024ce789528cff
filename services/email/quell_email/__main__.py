"""The email service as a process: it alone knows which store, clock and keys there are."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from quell.email.v1 import (
    email_remediation_service_pb2_grpc,
    mailbox_service_pb2_grpc,
    quarantine_service_pb2_grpc,
    url_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2_grpc

from quell_email.api import click
from quell_email.api.checking import check
from quell_email.api.mailbox_service import MailboxServicer
from quell_email.api.quarantine_service import QuarantineServicer
from quell_email.api.remediations import EmailRemediationServicer
from quell_email.api.url_service import UrlServicer
from quell_email.domain.forwards import Forwards
from quell_email.domain.mailboxes import Mailboxes
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_messages import KIND
from quell_email.effects.retention import Retention
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.imap.backend import ImapMailboxes
from quell_email.imap.forwards import ServerForwards
from quell_email.imap.index import Index as ImapIndex
from quell_email.inventory import Inventory
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.forwards import HomeForwards
from quell_email.maildir.index import Index
from quell_email.milter.running import Surroundings, running
from quell_email.offers import Means, offers
from quell_email.parsing.parser import Parser
from quell_email.settings import EmailSettings
from quell_email.store.clicks import Clicks, Keep, Keeping
from quell_email.store.pre_images import PreImages
from quell_email.store.urls import MIGRATIONS, UrlTable
from quell_email.vault import recover
from quell_email.vault.looking import Looking
from quell_email.vault.vault import HOLDER, opened_vault
from quell_executor.executor import JOURNAL, Executor
from quell_executor.quorum import quorums_of
from quell_executor.service import ExecutorServicer
from quell_executor.settings import Seams
from quell_executor.settings import Settings as KitSettings
from quell_runtime import by_hand, pki, program
from quell_runtime.config import load
from quell_runtime.data_keys import DataKeys, recovery_key
from quell_runtime.kinds import kinds
from quell_runtime.people import People
from quell_runtime.seams import Clock, Point, SystemClock, nowhere
from quell_runtime.server import API, Server, serving
from quell_runtime.store import Store
from quell_runtime.store.opening import opened

NO_WAY = "neither homes nor [managesieve] is configured"
LACKING = {"turn_off_external_forwarding": NO_WAY, "restore_external_forwarding": NO_WAY}
"""Kinds that need what not every deployment has, and what that is."""


MAIL_FILTER = "quell.email.MailFilter"
"""By this name the health service tells whether the filter in the mail server works."""


@dataclass(frozen=True, slots=True)
class Service:
    """An email service that is ready to listen."""

    api: Server
    people: People
    urls: UrlTable
    clicks: Clicks
    mailboxes: Mailboxes


@contextlib.asynccontextmanager
async def composed(settings: EmailSettings, clock: Clock, point: Point = nowhere) -> AsyncIterator[Service]:
    """Put the service together over the data in its folder."""
    people = People(settings.people)
    async with contextlib.AsyncExitStack() as stack:
        journal = await stack.enter_async_context(
            opened(settings.data / "journal", JOURNAL, name="journal", point=point)
        )
        store = await stack.enter_async_context(opened(settings.data / "urls", MIGRATIONS, name="urls", point=point))
        urls = await UrlTable.load(store, clock)
        parser = stack.enter_context(contextlib.closing(Parser()))
        mailboxes = await stack.enter_async_context(_mailboxes(settings, parser, point))
        # The centre's keys come with the journal, which the executor reads: it is asked only once it is there.
        executors: list[Executor] = []
        keys = DataKeys(settings.vault_key.read_bytes(), lambda: recovery_key(executors[0].key_set), HOLDER)
        vault = await stack.enter_async_context(opened_vault(settings.data / "vault", keys, clock, point))
        choosing = Choosing(mailboxes, settings.exclusions.all)
        keep, seams = timedelta(days=settings.quarantine_days), Seams(clock=clock, point=point)
        forwards = _forwards(settings, mailboxes, point)
        forwarding = _forwarding(settings, forwards, point)
        means = Means(mailboxes, vault, parser, choosing, urls, keep, seams, forwarding)
        executor = _executor(settings, means, journal)
        executors.append(executor)
        await executor.start()
        stack.push_async_callback(executor.stop)
        retention = Retention(mailboxes, clock, timedelta(days=settings.retention_days))
        await stack.enter_async_context(_meanwhile(retention.run()))
        await stack.enter_async_context(_meanwhile(vault.run()))
        clicks = Clicks(store, clock, _keeping(settings), mailboxes.addresses)
        stack.push_async_callback(clicks.flush)
        await stack.enter_async_context(_meanwhile(clicks.run()))
        api = Server(settings.api, API, settings.deployment, people, clock=clock)
        api.add(executor_service_pb2_grpc.add_ExecutorServiceServicer_to_server, ExecutorServicer(executor))
        api.add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, UrlServicer(urls))
        looking = Looking(vault, parser, executor.accesses, KIND)
        quarantine = QuarantineServicer(vault, looking)
        api.add(quarantine_service_pb2_grpc.add_QuarantineServiceServicer_to_server, quarantine)
        center = await stack.enter_async_context(by_hand.action_center(settings.action_center, settings.api))
        register = email_remediation_service_pb2_grpc.add_EmailRemediationServiceServicer_to_server
        api.add(register, EmailRemediationServicer(center))
        inventory = Inventory(mailboxes, forwards, settings.domains)
        api.add(mailbox_service_pb2_grpc.add_MailboxServiceServicer_to_server, MailboxServicer(inventory))
        yield Service(api, people, urls, clicks, mailboxes)


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do some work until the context is left."""
    working = asyncio.create_task(work)
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])


@contextlib.asynccontextmanager
async def _mailboxes(settings: EmailSettings, parser: Parser, point: Point) -> AsyncIterator[Mailboxes]:
    """Reach the mailboxes, on disk or behind their server."""
    if settings.imap:
        found = ImapMailboxes(settings.imap, ImapIndex(parser), point)
        try:
            yield found
        finally:
            await found.close()
    else:
        assert settings.maildirs  # noqa: S101 - the settings have one of the two
        yield Maildirs(settings.maildirs, Index(parser), point)


def _link_key(settings: EmailSettings) -> bytes:
    return settings.link_key.read_bytes() if settings.link_key else b""


def _keeping(settings: EmailSettings) -> Keeping:
    if settings.click is None:
        return Keeping(Keep.OFF)
    return Keeping(settings.click.keep, settings.click.keep_days, _link_key(settings))


def _forwards(settings: EmailSettings, mailboxes: Mailboxes, point: Point) -> Forwards | None:
    if settings.managesieve:
        return ServerForwards(settings.managesieve, mailboxes.addresses, point)
    return HomeForwards(settings.homes, point) if settings.homes else None


def _forwarding(settings: EmailSettings, forwards: Forwards | None, point: Point) -> TurnOffExternalForwarding | None:
    if forwards is None:
        return None
    kept = PreImages(settings.data / "forwarding")
    return TurnOffExternalForwarding(forwards, kept, settings.domains, settings.exclusions.all, point)


def _surroundings(settings: EmailSettings, service: Service) -> Surroundings:
    async def tell(works: bool) -> None:  # noqa: FBT001 - the watch's word
        await service.api.tell(MAIL_FILTER, works=works)

    def blocked(url: str) -> str:
        return check(service.urls, url).pattern

    return Surroundings(_link_key(settings), _keeping(settings).keep.named, blocked, service.mailboxes, tell)


def _executor(settings: EmailSettings, means: Means, journal: Store) -> Executor:
    found = offers(means)
    ours = [kind.name for kind in kinds().values() if kind.plane == "email"]
    missing = {name: LACKING.get(name, "not built yet") for name in ours if name not in found}
    quorums = quorums_of(settings.quorums, settings.approvers)
    kit = KitSettings(settings.deployment, bytes.fromhex(settings.root_key), missing=missing, quorums=quorums)
    return Executor(kit, pki.load_seal_key(settings.identity_key), found, journal, means.seams)


async def serve(settings: EmailSettings, stop: asyncio.Event, point: Point = nowhere) -> None:
    """Serve until told to stop."""
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(composed(settings, SystemClock(), point))
        if settings.click:
            endpoint = click.Endpoint(service.urls, service.clicks, _link_key(settings), settings.click.fails_open)
            serves = click.serving(endpoint, settings.click.listen, connections=settings.click.connections)
            await stack.enter_async_context(serves)
        if settings.milter:
            await stack.enter_async_context(running(settings.milter, _surroundings(settings, service)))
        await stack.enter_async_context(serving(settings, service.people, service.api))
        await stop.wait()


def main() -> int:
    """Run it, or open what a lost one has left (`recover`)."""
    if sys.argv[1:2] == ["recover"]:
        return recover.main(sys.argv[2:])
    return program.run("quell-email", partial(load, EmailSettings), serve)


if __name__ == "__main__":
    sys.exit(main())
