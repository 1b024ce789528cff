"""The executor: it turns warrants into receipts."""

from collections.abc import Mapping
from typing import Any

from quell.warrant.v1 import key_set_pb2, seal_pb2

from quell_executor.effect import Effect, Reader, Release
from quell_executor.settings import Seams, Settings
from quell_executor.transport import Transport
from quell_runtime.sealing import SealKey
from quell_runtime.store import Store

JOURNAL = "quell_executor.journal"
"""The package with the journal's migrations: `opened(folder, JOURNAL, name="journal")`."""


class Executor:
    """Carries out warrants over a journal.

    `offers` are the kinds that it serves, by name: an `Effect`; a `Reader` where the contract says that the kind only
    reads; a `Release` where it says that it lets go (its inverse must be offered too).
    """

    def __init__(
        self,
        settings: Settings,
        key: SealKey,
        offers: Mapping[str, Effect[Any] | Reader[Any] | Release[Any]],
        store: Store,
        seams: Seams,
    ) -> None:
        """Take what it stands on; `key` is its identity key, `store` its journal. Nothing runs before `start`."""

    @property
    def key_set(self) -> key_set_pb2.KeySet | None:
        """The centre's keys, as last heard."""
        raise NotImplementedError

    async def start(self) -> None:
        """Read the journal, recover what was under way, and go on."""
        raise NotImplementedError

    async def learn(self, key_set: seal_pb2.Sealed) -> None:
        """Take a sealed `KeySet` that came by another way than a conversation: at enrolment."""
        raise NotImplementedError

    async def serve(self, transport: Transport) -> None:
        """Hold a conversation until it is over; it takes the place of an older one. Effects outlive it.

        Raises:
            ProtocolUnsupportedError, DeploymentMismatchError, CenterOutdatedError, StreamReplacedError: As they say.

        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop at once, as a crash would, but tidily: what is under way is recovered at the next start."""
        raise NotImplementedError
