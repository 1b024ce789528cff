"""Who takes what out of an executor's keeping: the audit log has it before it is given out."""

from collections.abc import Sequence

import structlog
from quell.executor.v1 import executor_service_pb2

from quell_actioncenter.application import history
from quell_actioncenter.application.actor import digest
from quell_actioncenter.application.book import Book
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.domain.records import RequestRecord
from quell_actioncenter.store.tables import REQUESTS
from quell_runtime.interceptors import validation

_log = structlog.get_logger()
EVENTS = {"artifacts": "artifact_downloaded", "quarantinedMessages": "quarantined_message_viewed"}
"""By what was taken, or looked at."""


async def take(desk: Desk, plane: str, accesses: Sequence[executor_service_pb2.Access]) -> list[str]:
    """Write accesses down and return the ids of those that are: the same again counts once, what is malformed never.

    Whom an executor names is its word: it has seen the credential. It can say no more than these events.
    """
    proper = [access for access in accesses if _proper(plane, access)]

    def work(book: Book) -> list[str]:
        return [access.id for access in proper if _taken(book, plane, access)]

    return await desk.decide(work, [(REQUESTS, access.id) for access in proper], urgent=True)


def _taken(book: Book, plane: str, access: executor_service_pb2.Access) -> bool:
    content, known = digest(access, plane), book.view.get(REQUESTS, access.id)
    if known is None:
        book.view.put(REQUESTS, RequestRecord(access.id, access.resource, content))
        event = EVENTS[access.resource.partition("/")[0]]
        history.append(book.view, book.now, access.actor, event, access.resource, access)
    return known is None or known.content == content


def _proper(plane: str, access: executor_service_pb2.Access) -> bool:
    try:
        validation.check(access)
    except validation.FieldsInvalidError as error:
        _log.warning("access_malformed", plane=plane, field=error.field)
        return False
    return True
