"""A mail server's tree on disk, with a campaign in three mailboxes, and the effect over it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mail_lab import lab
from mail_tree import CAMPAIGN, MailTree, ordinary
from mail_worlds import mail
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser

__all__ = ["lab", "mail"]


@pytest.fixture
def tree(tmp_path: Path) -> MailTree:
    """Three mailboxes with honest mail and one campaign: unread, read and flagged with keywords, filed away."""
    tree = MailTree(tmp_path / "mail")
    for number, address in enumerate(("ann@example.org", "bob@example.org", "cleo@example.org")):
        tree.deliver(address, ordinary(number), base=f"{number}.plain")
        tree.deliver(address, ordinary(number + 10), folder="Archive", flags="RS", base=f"{number}.old")
    tree.keywords("bob@example.org", "INBOX", ["$Junk", "Work"])
    tree.deliver("ann@example.org", CAMPAIGN, flags=None, base="1.camp")
    tree.deliver("bob@example.org", CAMPAIGN, flags="FSab", base="2.camp", mtime=1_763_290_000.5)
    tree.deliver(
        "cleo@example.org", CAMPAIGN, folder="Work.2026".replace(".", "/"), flags="", base="3.camp", mode=0o600
    )
    return tree


@pytest.fixture
def parser() -> Iterator[Parser]:
    """Have a child that reads mail."""
    with contextlib.closing(Parser()) as parser:
        yield parser


@pytest.fixture
def effect(tree: MailTree, parser: Parser) -> SoftDeleteMessages:
    """Soft delete over the tree."""
    return SoftDeleteMessages(Maildirs(tree.pattern, Index(parser)))
