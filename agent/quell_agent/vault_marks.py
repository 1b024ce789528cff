"""What the vaults themselves say is ours: for a journal that was lost."""

from collections.abc import Callable, Iterator

import structlog
from quell.remediation.v1 import device_pb2, remediation_pb2, target_pb2

from quell_agent import files
from quell_agent.before import Before
from quell_agent.files import Content
from quell_agent.persistence.start import Start
from quell_agent.persistence.swap import notes
from quell_agent.vault import Room, Vaults
from quell_executor.effect import Mark, PlannedItem

log = structlog.get_logger()
Planned = Callable[[Before | Start], PlannedItem]


def marks(vaults: Vaults, planned: Planned) -> list[Mark]:
    """Return a mark for each name of a file under lock, and for each place that was disarmed.

    What our key does not open (another identity made it) is passed over: the recovery key opens it.
    """
    found: list[Mark] = []
    for room in vaults.rooms():
        try:
            found += [
                Mark(action.removeprefix("actions/"), _order(vaults.device, path, content), planned(thing))
                for action, path, content, thing in _things(room)
            ]
        except (OSError, ValueError, KeyError) as error:
            log.warning("vault_unreadable", error=type(error).__name__)
    return found


def _things(room: Room) -> Iterator[tuple[str, str, Content, Before | Start]]:
    for manifest, before in room.held():
        yield manifest.action, before.path, before.content, before
    for note in notes(room):
        yield note.action, note.start.named[0], note.start.content, note.start


def _order(device: str, path: str, content: Content) -> remediation_pb2.Remediation:
    selector = target_pb2.FileSelector(path=files.shown(path), sha256=content.sha256)
    return remediation_pb2.Remediation(stop_and_quarantine=device_pb2.StopAndQuarantine(device=device, file=selector))
