"""The Action Center as one object: what the API's servicers and the simulation hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from quell.actioncenter.v1 import action_pb2
from quell.warrant.v1 import seal_pb2

from quell_actioncenter.application.actions import Actions
from quell_actioncenter.application.controls import Controls
from quell_actioncenter.application.investigations import Investigations
from quell_actioncenter.domain.ports import Dialer
from quell_runtime.sealing import SealKey
from quell_runtime.seams import Clock, Point, Rng, nowhere
from quell_runtime.store import Store


@dataclass(frozen=True, slots=True)
class ExecutorSetting:
    """An executor as the configuration names it: plane, fingerprint of its identity key (SHA-256), how to reach it."""

    plane: str
    fingerprint: bytes
    dialer: Dialer


@dataclass(frozen=True, slots=True)
class Settings:
    """What the composition root hands over."""

    deployment: str
    seal_key: SealKey
    key_set: seal_pb2.Sealed
    """The `KeySet` of the centre, sealed by the root key."""
    executors: tuple[ExecutorSetting, ...]


class Center:
    """Everything wired. `start` before use, `stop` at the end; a crash instead of `stop` loses nothing."""

    investigations: Investigations
    actions: Actions
    controls: Controls

    def __init__(self, store: Store, clock: Clock, rng: Rng, settings: Settings, *, point: Point = nowhere) -> None:
        """Keep what it stands on."""

    async def start(self, policy: str | None = None) -> None:
        """Draw the start number, put the policy in force if it is new, begin to dispatch and to keep time."""

    async def stop(self) -> None:
        """End every task of it."""

    def progress(self) -> Mapping[str, action_pb2.Progress]:
        """Return how far executors are, by action; lost at a restart."""
        return {}

    def connected(self) -> Mapping[str, bool]:
        """Return of each configured plane whether its executor has a stream now."""
        return {}
