"""Deltas: the actions about what came to a cluster after people had approved its list, each pending by itself."""

import uuid

from quell_actioncenter.application.book import Book
from quell_actioncenter.domain.lifecycle import State
from quell_actioncenter.domain.records import ActionRecord

DELTAS = uuid.UUID("5f7d4f0a-2b68-5b7e-9d3c-6c1f1f2d9a03")
"""Namespace of their ids: those of one cluster are found by counting."""
UNANSWERED = (State.EXPIRED, State.CANCELED)
"""What nobody has said anything about is asked again."""


def name_of(cluster: str, number: int) -> str:
    """Return the name of a cluster's delta, by its number from 0."""
    return f"actions/{uuid.uuid5(DELTAS, f'{cluster}/{number}')}"


def of_cluster(book: Book, cluster: str) -> list[ActionRecord]:
    """Return the deltas of a cluster, oldest first."""
    found: list[ActionRecord] = []
    while record := book.action(name_of(cluster, len(found))):
        found.append(record)
    return found


def beyond(book: Book, cluster: str, delta: ActionRecord | None = None) -> tuple[bytes, ...]:
    """Return the lists that a delta leaves out: the cluster's own, and those of other deltas that were answered."""
    own = (delta.name, delta.action.retry_of) if delta else ()
    lists = [book.action(cluster), *of_cluster(book, cluster)]
    return tuple(
        bytes.fromhex(one.action.snapshot_digest)
        for one in lists
        if one and one.name not in own and one.state not in UNANSWERED and one.action.snapshot_digest
    )
