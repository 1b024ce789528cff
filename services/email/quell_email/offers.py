"""What the email service offers: each kind and what makes it so."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from quell_email.domain.mailboxes import Mailboxes
from quell_email.effects.block_url import BlockUrl
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_attachment import QuarantineAttachment
from quell_email.effects.quarantine_messages import QuarantineMessages
from quell_email.effects.release_messages import ReleaseMessages
from quell_email.effects.replacing import Replacing
from quell_email.effects.restore_attachment import RestoreAttachment
from quell_email.effects.restore_external_forwarding import RestoreExternalForwarding
from quell_email.effects.restore_messages import RestoreMessages
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.effects.taking import Taking
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.effects.unblock_url import UnblockUrl
from quell_email.parsing.parser import Parser
from quell_email.store.urls import UrlTable
from quell_email.vault.vault import Vault
from quell_executor.effect import Effect, Release
from quell_executor.settings import Seams


@dataclass(frozen=True, slots=True)
class Means:
    """What effects are made of.

    `keep` is how long things stay in the vault where an order does not say; `forwarding` is None where nobody has said
    how scripts are reached.
    """

    mailboxes: Mailboxes
    vault: Vault
    parser: Parser
    choosing: Choosing
    urls: UrlTable
    keep: timedelta
    seams: Seams
    forwarding: TurnOffExternalForwarding | None = None


def offers(means: Means) -> dict[str, Effect[Any] | Release[Any]]:
    """Return every kind that is served."""
    clock, point = means.seams.clock, means.seams.point
    taking = Taking(means.mailboxes, means.vault, means.parser, clock, point)
    replacing = Replacing(means.mailboxes, means.vault, means.parser, clock, point)
    forwarding: dict[str, Effect[Any] | Release[Any]] = {}
    if means.forwarding:
        forwarding["turn_off_external_forwarding"] = means.forwarding
        forwarding["restore_external_forwarding"] = RestoreExternalForwarding()
    return {
        "soft_delete_messages": SoftDeleteMessages(means.mailboxes, means.choosing),
        "restore_messages": RestoreMessages(),
        "quarantine_messages": QuarantineMessages(taking, means.choosing, clock, means.keep),
        "release_messages": ReleaseMessages(),
        "quarantine_attachment": QuarantineAttachment(replacing, means.choosing, means.keep),
        "restore_attachment": RestoreAttachment(),
        "block_url": BlockUrl(means.urls),
        "unblock_url": UnblockUrl(),
        **forwarding,
    }
