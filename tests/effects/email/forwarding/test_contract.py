"""Turning external forwarding off keeps the kit's contract for effects."""

from dataclasses import dataclass

import pytest
from quell.remediation.v1 import email_pb2

from home_tree import HomeTree
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_executor.contract import EffectContract, World

ANN = "ann@example.org"


@dataclass
class Forwarder:
    """A mailbox that sends mail outside in three ways, on disk."""

    tree: HomeTree
    effect: TurnOffExternalForwarding
    order: email_pb2.TurnOffExternalForwarding

    async def look(self) -> object:
        """Return every file of the home."""
        return self.tree.photograph(ANN)

    async def disturb(self) -> None:
        """Add a rule to a script that was changed, as its user would."""
        script = self.tree.home(ANN) / "sieve/mine.sieve"
        script.write_bytes(script.read_bytes() + b"stop;\n")


class TestTurnOffExternalForwarding(EffectContract):
    """Every check of the suite, over real files."""

    @pytest.fixture
    def world(self, tree: HomeTree, effect: TurnOffExternalForwarding) -> World:
        """Make the world of one check."""
        return Forwarder(tree, effect, email_pb2.TurnOffExternalForwarding(mailbox=f"mailboxes/{ANN}"))
