"""Users who forward outside: one home on disk, and a server's mailbox with either backend over it."""

from pathlib import Path

import pytest

from forwarding_desk import ANN, MINE, OURS, Desk, homes, server
from home_tree import HomeTree
from mail_lab import MailLab
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.maildir.forwards import HomeForwards
from quell_email.store.pre_images import PreImages

OLD = b'require "variables"; set "to" "ann@old.test";\r\nredirect "${to}";\r\n'
FORWARD = b"\\ann, ann@mail.test\n# to be reached on holiday\nteam@example.org\n"


@pytest.fixture
def tree(tmp_path: Path) -> HomeTree:
    """Ann's home: an active script, an old one, one that only files mail, and a `.forward`; and Bob's."""
    tree = HomeTree(tmp_path / "homes")
    tree.write(ANN, "sieve/mine.sieve", MINE)
    tree.write(ANN, "sieve/old.sieve", OLD, mode=0o600)
    tree.write(ANN, "sieve/lists.sieve", b'require "fileinto"; fileinto "Lists";\n')
    tree.write(ANN, ".forward", FORWARD)
    tree.activate(ANN, "sieve/mine.sieve")
    tree.write("bob@example.org", "sieve/mine.sieve", MINE)
    return tree


@pytest.fixture
def effect(tree: HomeTree, tmp_path: Path) -> TurnOffExternalForwarding:
    """Return the effect over the homes."""
    return TurnOffExternalForwarding(HomeForwards(tree.pattern), PreImages(tmp_path / "kept"), OURS)


@pytest.fixture(params=["homes", "server"])
def desk(request: pytest.FixtureRequest, lab: MailLab, tmp_path: Path) -> Desk:
    """Return Ann's mailbox on the server, with a backend over it."""
    lab.wipe()
    return Desk(lab, homes if request.param == "homes" else server, tmp_path / "kept")
