"""Which actions a batch of votes is about, if it names them by a filter."""

import json
import uuid
from dataclasses import dataclass

from quell.actioncenter.v1 import action_pb2, action_service_pb2

from quell_actioncenter.api import resources
from quell_actioncenter.domain.lifecycle import UNDECIDED
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, REQUESTS
from quell_runtime.kinds import is_cluster
from quell_runtime.listing.filters import Filter, parse
from quell_runtime.seams import micros, when
from quell_runtime.store import Store

PENDING = tuple(map(int, UNDECIDED))
MOST = 1000
"""Actions in one batch."""
READ = 10_000
"""Actions that are looked at for one batch; `remaining` is counted among them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some actions, oldest first, and how many more there are."""

    names: tuple[str, ...] = ()
    remaining: int = 0


async def chosen(store: Store, request: action_service_pb2.BatchDecideActionsRequest) -> Chosen:
    """Return what a request's filter selects; nothing if it names actions one by one.

    Those that this very vote has reached already are left out, so that calling again with its id goes on.

    Raises:
        FilterInvalidError: The filter can't be read.

    """
    if request.WhichOneof("selection") != "filter":
        return Chosen()
    found = await _pending(
        store, parse(request.filter.filter, resources.ACTION), micros(when(request.filter.seen_time))
    )
    if request.answer == action_pb2.ANSWER_APPROVE:
        found = [record for record in found if not is_cluster(record.action.remediation)]
    votes = {str(uuid.uuid5(uuid.UUID(request.vote_id), record.name)): record.name for record in found}
    reached = await store.select(REQUESTS, "WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(votes)),))
    for vote in reached:
        del votes[vote.id]
    names = tuple(votes.values())
    return Chosen(names[:MOST], len(names[MOST:]))


async def _pending(store: Store, wanted: Filter[ActionRecord], seen: int) -> list[ActionRecord]:
    tail = f"WHERE state IN {PENDING} AND etag_time <= ? AND {wanted.sql} ORDER BY create_time, name LIMIT {READ}"
    return await store.select(ACTIONS, tail, (seen, *wanted.parameters))
