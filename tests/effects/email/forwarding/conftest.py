"""A user who forwards outside in three ways, and the effect over the user's home."""

from pathlib import Path

import pytest

from home_tree import HomeTree
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.maildir.forwards import HomeForwards
from quell_email.store.pre_images import PreImages

OURS = frozenset({"example.org"})
ANN = "ann@example.org"
MINE = b"""\
require ["copy", "fileinto", "variables"];
# rule:[team]
redirect :copy "team@example.org"; # stays
# rule:[home]
if header :contains "subject" "report" {
  redirect /* my own */ "ann@mail.test";
}
if header :contains "subject" "list" { fileinto "Lists"; stop; }
"""
OLD = b'set "to" "ann@old.test";\r\nredirect "${to}";\r\n'.replace(b"set", b'require "variables"; set', 1)
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
