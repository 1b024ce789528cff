"""Turning external forwarding off keeps the kit's contract for effects, on disk and on a server."""

from dataclasses import dataclass

import pytest

from forwarding_desk import ANN, MINE, ORDER, Desk
from home_tree import HomeTree
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_executor.contract import EffectContract, World

OLD = b'redirect "ann@old.test";\r\n'


@dataclass
class Home:
    """A home that sends mail outside in three ways."""

    tree: HomeTree
    effect: TurnOffExternalForwarding
    order = ORDER

    async def look(self) -> object:
        """Return every file of the home."""
        return self.tree.photograph(ANN)

    async def disturb(self) -> None:
        """Add a rule to a script that was changed, as its user would."""
        script = self.tree.home(ANN) / "sieve/mine.sieve"
        script.write_bytes(script.read_bytes() + b"stop;\n")


@dataclass
class Mailbox:
    """A mailbox with two scripts."""

    desk: Desk
    effect: TurnOffExternalForwarding
    order = ORDER

    async def look(self) -> object:
        """Return every script."""
        return await self.desk.scripts()

    async def disturb(self) -> None:
        """Add a rule, as its user would."""
        await self.desk.write("mine", (await self.desk.scripts())["mine"][0] + b"stop;\n")


class TestHome(EffectContract):
    """Every check of the suite, over real files."""

    @pytest.fixture
    def world(self, tree: HomeTree, effect: TurnOffExternalForwarding) -> World:
        """Make the world of one check."""
        return Home(tree, effect)


class TestMailbox(EffectContract):
    """Every check of the suite, on a server, by either backend."""

    @pytest.fixture
    async def world(self, desk: Desk) -> World:
        """Make the world of one check."""
        await desk.write("old", OLD)
        await desk.write("mine", MINE)
        return Mailbox(desk, desk.effect())
