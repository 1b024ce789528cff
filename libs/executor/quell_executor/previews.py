"""Answers to "what would be done?": it changes nothing; a cluster's list is kept as a snapshot."""

import structlog
from quell.executor.v1 import plan_pb2
from quell.journal.v1 import plan_pb2 as journal_pb2
from quell.remediation.v1 import failure_pb2
from quell.warrant.v1 import preview_pb2

from quell_executor.effect import RefusedError
from quell_executor.outcome import cut
from quell_executor.resolving import Resolved
from quell_executor.run import Kit
from quell_runtime.errors import FullError
from quell_runtime.kinds import is_cluster, kind_of
from quell_runtime.seams import when

log = structlog.get_logger()


async def answers(kit: Kit, query: plan_pb2.PlanQuery) -> list[plan_pb2.PlanAnswer]:
    """Return the answers to a query, the last with its end."""
    try:
        resolved = await _resolve(kit, query)
        return await _answers(kit, query, resolved)
    except RefusedError as error:
        return [plan_pb2.PlanAnswer(id=query.id, failure=error.failure)]
    except FullError as error:
        failure = failure_pb2.Failure(reason=error.reason, message=error.message, retryable=True)
        return [plan_pb2.PlanAnswer(id=query.id, failure=failure)]
    except Exception:
        log.exception("preview_failed", query=query.id)
        failure = failure_pb2.Failure(reason="PLAN_FAILED", message="see its log", retryable=True)
        return [plan_pb2.PlanAnswer(id=query.id, failure=failure)]


async def _resolve(kit: Kit, query: plan_pb2.PlanQuery) -> Resolved | None:
    """Return what would be done, or None for a kind that only reads."""
    kind = kind_of(query.remediation)
    if kind.name not in kit.offers:
        raise RefusedError("EXECUTOR_LACKS_KIND", f"{kind.name} is not served here")
    return None if kind.read_only else await kit.resolver.resolve(query.remediation, query.undo_of)


async def _known(kit: Kit, query: plan_pb2.PlanQuery) -> set[str]:
    """Return the keys of what stands on older lists: what was moved or renamed since is known by its key."""
    lists = [await kit.resolver.resolve(query.remediation, "", snapshot=digest.hex()) for digest in query.beyond]
    return {planned.key for older in lists for planned in older.items}


async def _answers(kit: Kit, query: plan_pb2.PlanQuery, resolved: Resolved | None) -> list[plan_pb2.PlanAnswer]:
    known = await _known(kit, query) if resolved else set()
    items = [planned.item for planned in (resolved.items if resolved else ()) if planned.key not in known]
    digest = b""
    if is_cluster(query.remediation) and not query.undo_of:
        held = journal_pb2.Snapshot(items=items).SerializeToString(deterministic=True)
        digest = await kit.journal.keep_snapshot(held, when(query.keep_time))
    summary = plan_pb2.PlanSummary(
        basis=preview_pb2.BASIS_SEEN,
        item_count=len(items),
        snapshot_digest=digest,
        notes=[note for plan in (resolved.plans if resolved else ()) for note in plan.notes],
    )
    found = [plan_pb2.PlanAnswer(id=query.id, items=run) for run in cut(items)]
    return [*found, plan_pb2.PlanAnswer(id=query.id, summary=summary)]
