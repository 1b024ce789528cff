"""Which mailboxes there are, how large, and where they send their mail on to: as it is now, never from notes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from quell.email.v1 import mailbox_pb2

from quell_email.domain.errors import BackendAwayError, ForwardingsUnknownError, MailboxUnknownError
from quell_email.domain.forwards import Forwards
from quell_email.domain.mailboxes import Mailboxes, Volume
from quell_email.sieve.places import forwardings
from quell_executor.effect import RefusedError

AT_ONCE = 8
"""Mailboxes that are looked at at a time."""
Fits = Callable[[mailbox_pb2.Mailbox], bool]


class Inventory:
    """The use cases of `MailboxService`."""

    def __init__(self, mailboxes: Mailboxes, forwards: Forwards | None, domains: Collection[str]) -> None:
        """Look into these mailboxes; `forwards` is None where nobody has said how scripts are reached."""
        self._mailboxes = mailboxes
        self._forwards = forwards
        self._domains = frozenset(domains)

    async def get(self, address: str) -> mailbox_pb2.Mailbox:
        """Return one mailbox, by its canonical address.

        Raises:
            MailboxUnknownError, BackendAwayError: As they say.

        """
        found = [mailbox async for mailbox in self._filled([await self._sending_on(address)])]
        if not found:
            raise MailboxUnknownError("there is no such mailbox")
        return found[0]

    async def list(self, fits: Fits, size: int, after: str, *, by_forwardings: bool) -> list[mailbox_pb2.Mailbox]:
        """Return so many mailboxes that fit, in order of address, those after an address.

        `fits` sees names and forwardings, and no more if `by_forwardings`.

        Raises:
            ForwardingsUnknownError: `by_forwardings`, and those of one mailbox are not known.
            BackendAwayError: The mail server does not answer.

        """
        with _answering():
            addresses = sorted(one for one in await self._mailboxes.addresses() if one > after)
        found: list[mailbox_pb2.Mailbox] = []
        for start in range(0, len(addresses), AT_ONCE):
            some = addresses[start : start + AT_ONCE]
            looked = await asyncio.gather(*map(self._sending_on, some))
            if by_forwardings and not all(mailbox.forwardings_known for mailbox in looked):
                raise ForwardingsUnknownError("it can't be told of every mailbox where it sends its mail on to")
            found += [mailbox async for mailbox in self._filled([one for one in looked if fits(one)])]
            if len(found) >= size:
                break
        return found[:size]

    async def _sending_on(self, address: str) -> mailbox_pb2.Mailbox:
        mailbox = mailbox_pb2.Mailbox(name=f"mailboxes/{address}")
        with _answering():
            if self._forwards:
                try:
                    mailbox.forwardings.extend(await forwardings(self._forwards, address, self._domains))
                    mailbox.forwardings_known = True
                except RefusedError as refusal:
                    if refusal.failure.retryable:
                        raise
        return mailbox

    async def _filled(self, mailboxes: Sequence[mailbox_pb2.Mailbox]) -> AsyncIterator[mailbox_pb2.Mailbox]:
        """Yield them with how much they have; one that is gone meanwhile is left out."""
        addresses = [mailbox.name.removeprefix("mailboxes/") for mailbox in mailboxes]
        with _answering():
            volumes: Sequence[Volume | None] = await asyncio.gather(*map(self._mailboxes.volume, addresses))
        for mailbox, volume in zip(mailboxes, volumes, strict=True):
            if volume is not None:
                mailbox.message_count, mailbox.size_bytes = volume.messages, volume.size_bytes
                yield mailbox


@contextmanager
def _answering() -> Iterator[None]:
    """Say of a backend that can't be asked that it is away."""
    try:
        yield
    except RefusedError as refusal:
        raise BackendAwayError(refusal.failure.message) from None
    except OSError:
        raise BackendAwayError("the mailboxes can't be read") from None
