"""What is so of a place, in the words of the kit."""

from quell.remediation.v1 import failure_pb2, item_pb2

from quell_agent.persistence.sight import sight_of
from quell_agent.persistence.start import Start
from quell_agent.persistence.swap import is_noted, is_taken, is_whole
from quell_agent.vault import Vaults
from quell_executor.effect import Finding

MESSAGES = {
    "NOT_PERMITTED": "the agent does not run as root, and the file is not its own",
    "STARTS_AGAIN": "it would start the file again: others have changed it since",
    "CHANGED_SINCE": "it was changed between plan and change, and was left as it is",
    "HALF_BACK": "it is back, but the vault does not know it yet",
    "VAULT_DAMAGED": "what the vault holds of it was changed",
    "VAULT_LOST": "the vault does not hold what lay there",
}


def found(vaults: Vaults, start: Start) -> Finding:
    """Say whether a place is disarmed."""
    if start.refused:
        return _finding(item_pb2.ITEM_STATE_REFUSED, start.refused)
    sight = sight_of(start)
    with vaults.holding(start.record) as room:
        taken = room is not None and is_taken(room, start)
    if taken:
        return (
            _finding(item_pb2.ITEM_STATE_FAILED, "STARTS_AGAIN") if sight.starts else _finding(item_pb2.ITEM_STATE_DONE)
        )
    if sight.unflagged and sight.identity == start.identity:
        return _finding(item_pb2.ITEM_STATE_PLANNED)
    if sight.starts:
        return _finding(item_pb2.ITEM_STATE_FAILED, "CHANGED_SINCE")
    return _finding(item_pb2.ITEM_STATE_MISSING)


def found_back(vaults: Vaults, start: Start) -> Finding:
    """Say whether what lay at a place is back."""
    sight = sight_of(start)
    with vaults.holding(start.record) as room:
        if sight.unflagged:
            if room is not None and is_noted(room, start):
                return _finding(item_pb2.ITEM_STATE_FAILED, "HALF_BACK")
            return _finding(item_pb2.ITEM_STATE_DONE if sight.original else item_pb2.ITEM_STATE_PLANNED)
        if room is None or not is_taken(room, start):
            return _finding(item_pb2.ITEM_STATE_FAILED, "VAULT_LOST")
        if sight.differences:
            message = f"others have changed it since: {', '.join(sight.differences)}"
            failure = failure_pb2.Failure(reason="PLACE_CHANGED", message=message)
            return Finding(item_pb2.ITEM_STATE_CONFLICT, failure)
        if not is_whole(room, start):
            return _finding(item_pb2.ITEM_STATE_FAILED, "VAULT_DAMAGED")
    return _finding(item_pb2.ITEM_STATE_PLANNED)


def _finding(state: item_pb2.ItemState.ValueType, reason: str = "") -> Finding:
    return Finding(state, failure_pb2.Failure(reason=reason, message=MESSAGES[reason]) if reason else None)
