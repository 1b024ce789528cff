"""The email service turns forwarding off, by warrants over gRPC, where it is told how scripts are reached."""

import pytest
from quell.remediation.v1 import email_pb2, outcome_pb2, remediation_pb2

from email_house import EmailHouse
from mail_tree import MailTree

ORDER = email_pb2.TurnOffExternalForwarding(mailbox="mailboxes/ann@example.org")
OFF = remediation_pb2.Remediation(turn_off_external_forwarding=ORDER)
FORWARD = b"\\ann, ann@mail.test, team@example.org\n"
SETTINGS = 'domains = ["Example.ORG"]\nhomes = "{base}/{{address}}"\n'
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


@pytest.fixture
async def forwarding(house: EmailHouse, tree: MailTree) -> EmailHouse:
    """Have the service running over homes."""
    (tree.base / "ann@example.org" / ".forward").write_bytes(FORWARD)
    await house.kill()
    house.config.write_text(SETTINGS.format(base=tree.base) + house.config.read_text())
    await house.start()
    return house


async def test_it_is_off_outlives_kill_9_and_comes_back(forwarding: EmailHouse, tree: MailTree) -> None:
    """Undo by the journal, after a death; a release by hand the second time."""
    file = tree.base / "ann@example.org" / ".forward"
    async with forwarding.conversation() as talk:
        off = await talk.carry_out(OFF)
        assert (off.outcome.effect, off.outcome.undo) == (IN_FORCE, outcome_pb2.UNDO_STATE_POSSIBLE)
        assert file.read_bytes() == b"\\ann, team@example.org\n"
    await forwarding.kill()
    await forwarding.start()
    async with forwarding.conversation() as talk:
        assert (await talk.carry_out(OFF, undo_of=off.action)).outcome.effect == IN_FORCE
        assert file.read_bytes() == FORWARD
        again = await talk.carry_out(OFF)
        back = email_pb2.RestoreExternalForwarding(action=again.action)
        given = await talk.carry_out(remediation_pb2.Remediation(restore_external_forwarding=back))
        assert given.outcome.effect == IN_FORCE
        assert file.read_bytes() == FORWARD


async def test_what_is_not_there_is_refused(forwarding: EmailHouse) -> None:
    """By a receipt with its reason."""
    nobody = email_pb2.TurnOffExternalForwarding(mailbox="mailboxes/nobody@example.org")
    async with forwarding.conversation() as talk:
        refused = await talk.carry_out(remediation_pb2.Remediation(turn_off_external_forwarding=nobody))
        assert refused.failure.reason == "MAILBOX_UNKNOWN"


SERVER = """
[managesieve]
address = "{address}"
tls = "none"
master_user = "quell"
master_password = "{password}"
"""
WRONG = {
    "domains": ('homes = "/home/{address}"\n', ""),
    "a mail domain": ('domains = ["no domain"]\n', ""),
    "choose one": ('domains = ["example.org"]\nhomes = "/home/{address}"\n', "127.0.0.1:1"),
    "loopback only": ("", "192.0.2.1:1"),
}


@pytest.mark.parametrize("named", WRONG)
async def test_what_cant_be_is_said_in_one_line(house: EmailHouse, named: str) -> None:
    """Forwarding without domains, two ways to the same scripts, a password in the clear."""
    top, address = WRONG[named]
    server = SERVER.format(address=address, password=house.config) if address else ""
    house.config.write_text(top + house.config.read_text() + server)
    process = await house.spawn()
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.count(b"\n") == 1
    assert named in said.decode()
