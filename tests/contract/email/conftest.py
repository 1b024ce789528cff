"""A running email service over three mailboxes with a campaign."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment import make
from email_house import EmailHouse
from kit_house import DEPLOYMENT
from mail_tree import CAMPAIGN, MailTree, ordinary


@pytest.fixture
def tree(tmp_path: Path) -> MailTree:
    """Make three mailboxes."""
    tree = MailTree(tmp_path / "mail")
    for number, address in enumerate(("ann@example.org", "bob@example.org", "cleo@example.org")):
        tree.deliver(address, ordinary(number), base=f"{number}.plain")
        tree.deliver(address, CAMPAIGN, flags="FS", folder="Work" if number else "INBOX", base=f"{number}.camp")
    return tree


@pytest.fixture
async def house(tree: MailTree, tmp_path: Path) -> AsyncIterator[EmailHouse]:
    """Have the service running."""
    (tmp_path / "deployment").mkdir()
    house = EmailHouse(make(tmp_path / "deployment", DEPLOYMENT), tree, tmp_path)
    await house.start()
    yield house
    await house.kill()
