"""Looking at what is in quarantine: text alone, and only once the audit log has who looks, and why."""

import asyncio
from collections.abc import Mapping
from typing import Any

from quell_email.domain.errors import (
    ContentDamagedError,
    MessageUnparsableError,
    NotInQuarantineError,
    QuarantinedMessageUnknownError,
)
from quell_email.parsing.parser import Parser
from quell_email.vault.records import KEPT, OURS, Kept
from quell_email.vault.vault import Vault
from quell_executor.accesses import Accesses
from quell_runtime.locked import VaultDamagedError


class Looking:
    """The use case of `QuarantineService.ViewQuarantinedMessage`."""

    def __init__(self, vault: Vault, parser: Parser, accesses: Accesses, kind: str) -> None:
        """Look at what one kind of action took."""
        self._vault = vault
        self._parser = parser
        self._accesses = accesses
        self._kind = kind

    async def look(self, name: str, actor: str, comment: str) -> tuple[Kept, Mapping[str, Any]]:
        """Return a message and what `parsing.viewing.read_view` says of it.

        Raises:
            QuarantinedMessageUnknownError, NotInQuarantineError, AuditAwayError, ContentDamagedError,
            MessageUnparsableError: As they say.

        """
        found = await self._vault.store.load(KEPT, name.rpartition("/")[2])
        if found is None or found.kind != self._kind:
            raise QuarantinedMessageUnknownError("there is no such message")
        if found.state not in OURS:
            raise NotInQuarantineError(f"it is not in quarantine any more: {found.state}")
        await self._accesses.tell(actor, name, comment)
        try:
            content = await self._vault.get(found.contents[0])
        except VaultDamagedError:
            raise ContentDamagedError("what lies in the vault is not what was put there") from None
        view = await asyncio.to_thread(self._parser.view, content)
        if view is None:
            raise MessageUnparsableError("it can't be read within the limits")
        return found, view
