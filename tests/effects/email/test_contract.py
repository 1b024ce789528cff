"""Soft delete keeps the kit's contract for effects."""

from dataclasses import dataclass

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from mail_tree import CAMPAIGN, MailTree, ordinary
from mail_worlds import ALL, ANN, BOB, CLEO, MailWorld, Seen, crlf
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_executor.contract import EffectContract, World


@dataclass
class Campaign:
    """A campaign in three mailboxes."""

    tree: MailTree
    effect: SoftDeleteMessages
    order: email_pb2.SoftDeleteMessages

    async def look(self) -> object:
        """Return what the users see."""
        return [self.tree.photograph(path.name) for path in sorted(self.tree.base.iterdir())]

    async def disturb(self) -> None:
        """Rename a folder that a message came from, as its user would."""
        work = self.tree.root("cleo@example.org") / ".Work.2026"
        work.rename(work.with_name(".Done.2026"))


@dataclass
class CampaignAnywhere:
    """A campaign in mailboxes of either backend."""

    mail: MailWorld
    effect: SoftDeleteMessages
    order: email_pb2.SoftDeleteMessages

    async def look(self) -> object:
        """Return what the users see."""
        return [self.mail.see(address) for address in ALL]

    async def disturb(self) -> None:
        """Rename a folder that a message came from, as its user would."""
        self.mail.rename(CLEO, "Work/2026", "Done/2026")


class TestSoftDeleteMessagesAnywhere(EffectContract):
    """Every check of the suite, over each backend."""

    @pytest.fixture
    def world(self, mail: MailWorld) -> World:
        """Make the world of one check."""
        mail.deliver(ANN, Seen("INBOX", CAMPAIGN), Seen("INBOX", crlf(ordinary(1))))
        mail.deliver(BOB, Seen("Later", CAMPAIGN, ("\\Flagged",), ("Work",)))
        mail.deliver(CLEO, Seen("Work/2026", CAMPAIGN))
        cluster = target_pb2.MessageCluster(sender_domain="evil.example")
        order = email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster))
        return CampaignAnywhere(mail, SoftDeleteMessages(mail.mailboxes), order)


class TestSoftDeleteMessages(EffectContract):
    """Every check of the suite, over real trees."""

    @pytest.fixture
    def world(self, tree: MailTree, effect: SoftDeleteMessages) -> World:
        """Make the world of one check."""
        cluster = target_pb2.MessageCluster(sender_domain="evil.example")
        order = email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster))
        return Campaign(tree, effect, order)
