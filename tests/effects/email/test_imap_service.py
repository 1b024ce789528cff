"""The email service as a process over a mail server: killed in the middle of a cluster, it ends what it began."""

from pathlib import Path

from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2, target_pb2

from deployment import make
from email_house import EmailHouse
from eventually import eventually
from kit_house import DEPLOYMENT
from mail_lab import MailLab
from mail_tree import CAMPAIGN, MailTree, ordinary
from mail_worlds import ALL, ImapWorld, Seen, crlf
from quell_email.parsing.parser import Parser

EACH = 120


async def test_killed_in_the_middle_of_a_cluster_it_goes_on(lab: MailLab, parser: Parser, tmp_path: Path) -> None:
    """Hundreds in three mailboxes: after kill -9 and a start all are held once, and undo brings all back exactly."""
    world = ImapWorld(lab, parser, tmp_path)
    for address in ALL:
        raws = (CAMPAIGN + b"%d\r\n" % number for number in range(EACH))
        mail = [Seen(("INBOX", "Later", "Work/2026")[n % 3], raw, ("\\Seen",), ("Work",)) for n, raw in enumerate(raws)]
        world.deliver(address, *mail, Seen("INBOX", crlf(ordinary(1))))
    before = [world.see(address) for address in ALL]
    (tmp_path / "deployment").mkdir()
    deployment = make(tmp_path / "deployment", DEPLOYMENT)
    house = EmailHouse(deployment, MailTree(tmp_path / "none"), tmp_path)
    # So few commands a second that a kill comes in the middle.
    table = {**world.server.model_dump(mode="json", exclude={"address", "ca"}), "commands_per_second": 60.0}
    lines = [line for line in house.config.read_text().splitlines() if not line.startswith("maildirs")]
    lines += ["[imap]", f'address = "{world.server.address}"']
    lines += [f"{key} = {value!r}".replace("'", '"') for key, value in table.items()]
    house.config.write_text("\n".join(lines))
    cluster = target_pb2.MessageCluster(sender_domain="evil.example")
    order = email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster))
    remediation = remediation_pb2.Remediation(soft_delete_messages=order)

    async def held() -> int:
        return sum(world.held(address) for address in ALL)

    try:
        await house.start()
        async with house.conversation() as talk:
            warrant = await talk.order(remediation)
            assert 0 < await eventually(held, lambda number: number > 0, within=30) < len(ALL) * EACH
            await house.kill()
        await house.start()
        async with house.conversation() as talk:
            receipt = await talk.receipt(warrant)
            assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
            states = [item.state for item in talk.center.items(warrant.action)]
            assert states == [item_pb2.ITEM_STATE_DONE] * len(ALL) * EACH
            assert [world.held(address) for address in ALL] == [EACH] * len(ALL)
            assert [world.see(address) for address in ALL] == [[Seen("INBOX", crlf(ordinary(1)))]] * len(ALL)
            undone = await talk.carry_out(remediation, undo_of=warrant.action)
            assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
            assert [world.see(address) for address in ALL] == before
    finally:
        await house.kill()
        await world.close()
