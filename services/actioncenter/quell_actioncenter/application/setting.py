"""What the composition root hands over, and what the parts of a running Action Center share."""

from dataclasses import dataclass, field

from quell.actioncenter.v1 import action_pb2
from quell.warrant.v1 import seal_pb2

from quell_actioncenter.application.plans import Plans
from quell_actioncenter.domain.ports import Dialer
from quell_actioncenter.signing.seals import Seals
from quell_runtime.sealing import SealKey
from quell_runtime.seams import Point, nowhere


@dataclass(frozen=True, slots=True)
class ExecutorSetting:
    """An executor as the configuration names it: plane, fingerprint of its identity key (SHA-256), how to reach it."""

    plane: str
    fingerprint: bytes
    dialer: Dialer


@dataclass(frozen=True, slots=True)
class Settings:
    """What the composition root hands over. `key_set` is the centre's `KeySet`, sealed by the root key."""

    deployment: str
    seal_key: SealKey
    key_set: seal_pb2.Sealed
    executors: tuple[ExecutorSetting, ...]


@dataclass(slots=True)
class House:
    """What conversations share. `start` is the number of this start, `progress` how far executors are, by action."""

    seals: Seals
    plans: Plans
    start: int = 0
    progress: dict[str, action_pb2.Progress] = field(default_factory=dict)
    point: Point = nowhere
