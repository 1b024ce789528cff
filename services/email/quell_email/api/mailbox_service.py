"""MailboxService: the mailboxes, and who sends mail on to the outside."""

from collections.abc import Mapping

from quell.email.v1 import mailbox_pb2, mailbox_service_pb2, mailbox_service_pb2_grpc

from quell_email.domain.selection import address_of
from quell_email.inventory import Inventory
from quell_runtime.listing import filters
from quell_runtime.listing.fields import COMPARISON, Field, WordInvalidError
from quell_runtime.listing.paging import PageTokenInvalidError, bound, decode, encode, size_of

PAGE = 50
EXTERNAL = "forwardings.external"


def _truth(word: str) -> int:
    if word not in ("true", "false"):
        raise WordInvalidError("true or false")
    return int(word == "true")


FIELDS: Mapping[str, Field[mailbox_pb2.Mailbox]] = {
    "name": Field("name", address_of, lambda mailbox: address_of(mailbox.name), COMPARISON),
    EXTERNAL: Field(EXTERNAL, _truth, lambda mailbox: int(any(one.external for one in mailbox.forwardings))),
}
"""What mailboxes can be filtered by."""


class MailboxServicer(mailbox_service_pb2_grpc.MailboxServiceServicer):
    """Answers from the mail server, as it is now."""

    def __init__(self, inventory: Inventory) -> None:
        """Take the use cases."""
        self._inventory = inventory

    async def ListMailboxes(  # noqa: N802, D102 - the contract's
        self, request: mailbox_service_pb2.ListMailboxesRequest, _context: object
    ) -> mailbox_service_pb2.ListMailboxesResponse:
        wanted, size = filters.parse(request.filter, FIELDS), size_of(request.page_size, PAGE)
        binding = bound("mailboxes", wanted.sql, wanted.parameters)
        asked = any(comparison.field is FIELDS[EXTERNAL] for comparison in wanted.comparisons)
        after = _after(request.page_token, binding)
        found = await self._inventory.list(wanted.fits, size + 1, after, by_forwardings=asked)
        token = encode([binding, address_of(found[size - 1].name)]) if len(found) > size else ""
        return mailbox_service_pb2.ListMailboxesResponse(mailboxes=found[:size], next_page_token=token)

    async def GetMailbox(  # noqa: N802, D102
        self, request: mailbox_service_pb2.GetMailboxRequest, _context: object
    ) -> mailbox_service_pb2.GetMailboxResponse:
        return mailbox_service_pb2.GetMailboxResponse(mailbox=await self._inventory.get(address_of(request.name)))


def _after(token: str, binding: str) -> str:
    values = decode(token) if token else [binding, ""]
    if len(values) != 2 or values[0] != binding or not isinstance(values[1], str):  # noqa: PLR2004 - binding, address
        raise PageTokenInvalidError
    return values[1]
