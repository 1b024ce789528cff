"""What is so of a file that is to be in quarantine, or back from it, in the words of the kit."""

from quell.remediation.v1 import failure_pb2, item_pb2

from quell_agent.before import Before
from quell_agent.steps import Sight, look, obstacle
from quell_agent.vault import Room, Vaults, back, raw
from quell_executor.effect import Finding
from quell_runtime.locked import VaultDamagedError

MESSAGES = {
    "PROTECTED": "the machine or the agent needs this file: it is never taken",
    "NOT_PERMITTED": "the agent does not run as root, and the file is not its own",
    "NOT_REACHABLE": "it runs in another root folder, where the agent does not reach its file",
    "STILL_RUNS": "a process of this content still runs",
    "OTHER_NAMES": "the file has more names than were found; under those it can still be reached",
    "CAME_BACK": "the content lies at this path again, as another file",
    "HALF_MOVED": "the file is in the vault, but not yet under lock",
    "HALF_BACK": "the file is at its path again, but still in the vault too",
    "VAULT_DAMAGED": "what lies in the vault does not open, or is another content",
    "VAULT_LOST": "the vault does not hold it",
    "PATH_TAKEN": "something else lies at its path now",
    "FOLDER_CHANGED": "its folder is gone, or is another one now",
}


def found(vaults: Vaults, before: Before, *, runs: bool) -> Finding:
    """Say whether a file is taken; `runs` is whether a process of it does."""
    if before.refused:
        return _finding(item_pb2.ITEM_STATE_REFUSED, before.refused)
    if before.inode is None:
        return _finding(item_pb2.ITEM_STATE_PLANNED if runs else item_pb2.ITEM_STATE_DONE)
    sight = look(before)
    if not sight.content:
        return _held(vaults, before, runs=runs)
    with vaults.holding(before.record) as room:
        # The number of a file that was taken may be given to the next.
        taken = room is not None and _is_locked(room, before)
    if sight.file and not taken:
        return _finding(item_pb2.ITEM_STATE_PLANNED)
    return _finding(item_pb2.ITEM_STATE_FAILED, "CAME_BACK")


def _held(vaults: Vaults, before: Before, *, runs: bool) -> Finding:
    """Say how a file is that no longer lies at its path."""
    with vaults.holding(before.record) as room:
        if room is None or not (room.has(raw(before)) or _is_locked(room, before)):
            return _finding(item_pb2.ITEM_STATE_MISSING)
        if not _is_locked(room, before):
            return _finding(item_pb2.ITEM_STATE_FAILED, "HALF_MOVED")
        if not _opens(room, before):
            return _finding(item_pb2.ITEM_STATE_FAILED, "VAULT_DAMAGED")
    if runs:
        return _finding(item_pb2.ITEM_STATE_FAILED, "STILL_RUNS")
    if before.inode is not None and before.inode.links > len(before.names):
        return _finding(item_pb2.ITEM_STATE_FAILED, "OTHER_NAMES")
    return _finding(item_pb2.ITEM_STATE_DONE)


def found_back(vaults: Vaults, before: Before) -> Finding:
    """Say whether a file is given back."""
    if before.inode is None:
        return _finding(item_pb2.ITEM_STATE_MISSING)
    sight = look(before)
    with vaults.holding(before.record) as room:
        if sight.restored and _is_still_held(room, before, sight):
            return _finding(item_pb2.ITEM_STATE_FAILED, "HALF_BACK")
        if sight.restored:
            return _finding(item_pb2.ITEM_STATE_DONE)
        if _is_half_back(room, before, sight):
            return _finding(item_pb2.ITEM_STATE_PLANNED)
        if reason := obstacle(before):
            return _finding(item_pb2.ITEM_STATE_CONFLICT, reason)
        reason = _lack(room, before)
    return _finding(item_pb2.ITEM_STATE_FAILED if reason else item_pb2.ITEM_STATE_PLANNED, reason)


def _finding(state: item_pb2.ItemState.ValueType, reason: str = "") -> Finding:
    return Finding(state, failure_pb2.Failure(reason=reason, message=MESSAGES[reason]) if reason else None)


def _is_locked(room: Room, before: Before) -> bool:
    return room.has(f"{before.record}.sealed") and not room.has(back(before))


def _opens(room: Room, before: Before) -> bool:
    """Tell whether the vault can give back the very content."""
    try:
        with room.sealed(before.record) as sealed:
            return sealed.digest() == before.content.sha256
    except VaultDamagedError:
        return False


def _lack(room: Room | None, before: Before) -> str:
    """Return why the vault can't give a file back, as a reason; empty: it can."""
    if room is None or not (room.has(raw(before)) or _is_locked(room, before)):
        return "VAULT_LOST"
    return "" if room.has(raw(before)) or _opens(room, before) else "VAULT_DAMAGED"


def _is_half_back(room: Room | None, before: Before, sight: Sight) -> bool:
    """Tell whether the file at the path is ours, on its way back: only what is set last is missing."""
    if not sight.unflagged:
        return False
    return sight.file or (
        room is not None and (room.has(back(before)) or room.identity(f"{before.record}.out") == sight.identity)
    )


def _is_still_held(room: Room | None, before: Before, sight: Sight) -> bool:
    """Tell whether a file that is back is in the vault too: as the same file, or under lock with all its names back."""
    if room is None:
        return False
    names = range(len(before.names))
    if sight.identity in map(room.identity, (f"{before.record}.out", raw(before))):
        return True
    return room.has(f"{before.record}.sealed") and all(room.has(f"{before.record}.{name}.back") for name in names)
