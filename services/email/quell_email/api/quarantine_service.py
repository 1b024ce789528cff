"""QuarantineService: what is, or was, in quarantine, for people."""

from collections.abc import Mapping

from quell.email.v1 import quarantine_service_pb2, quarantine_service_pb2_grpc, quarantined_message_pb2

from quell_email.domain.selection import address_of
from quell_email.effects.quarantine_messages import KIND
from quell_email.effects.quarantine_record import QuarantineRecord
from quell_email.vault.looking import Looking
from quell_email.vault.records import KEPT, Kept, KeptState
from quell_email.vault.vault import Vault
from quell_runtime.identity import caller
from quell_runtime.listing import filters
from quell_runtime.listing.fields import COMPARISON, Field, choice, text, time
from quell_runtime.listing.paging import Listing, order_of, size_of
from quell_runtime.people import person
from quell_runtime.seams import stamp

PAGE = 50
COLLECTION = "quarantinedMessages/"
OF_KIND: Field[Kept] = text("kind")
NAME: Field[Kept] = Field(
    "id", lambda word: word.removeprefix(COLLECTION), lambda record: record.id, COMPARISON, ordered_by=True
)
FIELDS: Mapping[str, Field[Kept]] = {
    "name": NAME,
    "mailbox": Field("mailbox", address_of, lambda record: record.mailbox),
    "action": Field("action", lambda word: word.removeprefix("actions/"), lambda record: record.action),
    "state": choice("state", {state.name: state.value for state in KeptState}),
    "take_time": time("take_time", ordered_by=True),
    "purge_time": time("purge_time", ordered_by=True),
    "end_time": time("end_time"),
}
"""What quarantined messages can be filtered and ordered by."""


class QuarantineServicer(quarantine_service_pb2_grpc.QuarantineServiceServicer):
    """Says what there is, and shows it safely."""

    def __init__(self, vault: Vault, looking: Looking) -> None:
        """Take the vault, and how it is looked into."""
        self._vault = vault
        self._looking = looking

    async def ListQuarantinedMessages(  # noqa: N802, D102 - the contract's
        self, request: quarantine_service_pb2.ListQuarantinedMessagesRequest, _context: object
    ) -> quarantine_service_pb2.ListQuarantinedMessagesResponse:
        wanted = filters.parse(request.filter, FIELDS).narrowed(OF_KIND, KIND)
        listing = Listing(KEPT, wanted, order_of(request.order_by, FIELDS, "take_time desc", NAME))
        found, token = await listing.page(self._vault.store, size_of(request.page_size, PAGE), request.page_token)
        total = await listing.total(self._vault.store)
        return quarantine_service_pb2.ListQuarantinedMessagesResponse(
            messages=map(_shown, found), next_page_token=token, total_size=total
        )

    async def ViewQuarantinedMessage(  # noqa: N802, D102
        self, request: quarantine_service_pb2.ViewQuarantinedMessageRequest, _context: object
    ) -> quarantine_service_pb2.ViewQuarantinedMessageResponse:
        who = person()
        found, view = await self._looking.look(request.name, who.name if who else str(caller()), request.comment)
        headers = [quarantined_message_pb2.HeaderField(name=name, value=value) for name, value in view["headers"]]
        parts = [quarantined_message_pb2.MessagePart(**part) for part in view["parts"]]
        shown = quarantined_message_pb2.MessageView(headers=headers, text=view["text"], cut=view["cut"], parts=parts)
        return quarantine_service_pb2.ViewQuarantinedMessageResponse(message=_shown(found), view=shown)


def _shown(record: Kept) -> quarantined_message_pb2.QuarantinedMessage:
    headers = QuarantineRecord.load(record.before).headers
    return quarantined_message_pb2.QuarantinedMessage(
        name=f"{COLLECTION}{record.id}",
        message=record.item.message,
        senders=headers.senders if headers else (),
        action=f"actions/{record.action}",
        state=quarantined_message_pb2.QuarantineState.Value(f"QUARANTINE_STATE_{record.state.name}"),
        take_time=stamp(record.take_time),
        purge_time=stamp(record.purge_time),
        end_time=stamp(record.end_time) if record.end_time else None,
    )
