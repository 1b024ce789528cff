"""Promise: what is in quarantine can be looked at safely; who may only ask for its release is approved, or denied."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House, free_ports, up
from mail_tree import CAMPAIGN, MailTree, ordinary, sha256
from quarantine import all_seen

pytestmark = pytest.mark.timeout(300)
ANN, BOB = "ann@example.org", "bob@example.org"
DORA = """
[people.dora]
identities = ["spiffe://local/operator/dora"]
roles = []
permissions = ["actions.create", "release_messages.create"]
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Have a deployment running, with the campaign in two mailboxes; dora may ask for releases, and nothing else."""
    with up(tmp_path / "quell", free_ports()) as found:
        for address in (ANN, BOB):
            tree(found).deliver(address, ordinary(1), base="1.plain")
            tree(found).deliver(address, CAMPAIGN, flags="FS", base="2.camp")
        well(found, "certificate", "dora")
        with (found.folder / "config/people.toml").open("a") as people:
            people.write(DORA)
        yield found


def tree(house: House) -> MailTree:
    """Return its mailboxes."""
    return MailTree(house.folder / "mail")


def well(house: House, *arguments: str, person: str = "ann") -> str:
    """Run a command that succeeds and return what it printed."""
    ran = house.quell(*arguments, person=person)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def ask(house: House, remediation: object, person: str = "ann") -> str:
    """Ask for an action and return its short id."""
    return well(house, "actions", "ask", json.dumps(remediation), "-m", "test", person=person)[:8]


def state(house: House, action: str) -> str:
    """Return where an action is."""
    found: str = json.loads(well(house, "--json", "actions", "show", action).splitlines()[0])["state"]
    return found.removeprefix("ACTION_STATE_")


def test_a_release_is_asked_for_denied_and_approved(house: House) -> None:
    """From the mailbox into quarantine, looked at, asked for, denied, asked for again, and back exactly as it was."""
    before = all_seen(tree(house))
    named = [{"mailbox": f"mailboxes/{each}", "sha256": sha256(CAMPAIGN)} for each in (ANN, BOB)]
    taking = ask(house, {"quarantine_messages": {"messages": {"messages": {"messages": named}}}})
    well(house, "actions", "approve", taking, "-m", "phish", "--wait", "--yes", person="bob")
    gone = all_seen(tree(house))
    assert all(gone[address] < before[address] for address in (ANN, BOB))
    (line,) = [line for line in well(house, "quarantine", "list").splitlines() if ANN in line]
    assert re.search(rf"HELD +pay@mail\.evil\.example +Re: Your salary € +{taking}", line)
    shown = well(house, "quarantine", "view", line[:8], "-m", "is it one?", person="bob")
    assert "Subject: Re: Your salary €" in shown
    assert "hxxps://evil[.]example/" in shown
    assert "http" not in shown
    audit = well(house, "audit", "list", "--filter", "event = quarantined_message_viewed", person="carol")
    assert re.search(r"bob +quarantined_message_viewed +quarantinedMessages/[0-9a-f]{32} +is it one\?", audit)

    action = json.loads(well(house, "--json", "actions", "show", taking).splitlines()[0])["name"]
    release = {"release_messages": {"action": action, "mailboxes": [f"mailboxes/{BOB}"]}}
    first = ask(house, release, "dora")
    assert state(house, first) == "PENDING_APPROVAL"
    assert house.quell("actions", "approve", first, "-m", "mine", person="dora").returncode == 4
    assert house.quell("quarantine", "list", person="dora").returncode == 4
    well(house, "actions", "reject", first, "-m", "it is a phish", person="bob")
    assert (state(house, first), all_seen(tree(house))) == ("REJECTED", gone)
    release_bobs = ("act", "release-messages", "--mailboxes", BOB, "-m", "test")
    assert house.quell(*release_bobs, taking, person="dora").returncode == 4
    second = well(house, *release_bobs, action, person="dora")[:8]
    well(house, "actions", "approve", second, "-m", "a false alarm", "--wait", "--yes", person="bob")
    assert state(house, second) == "SUCCEEDED"
    assert all_seen(tree(house)) == {ANN: gone[ANN], BOB: before[BOB]}
    held = well(house, "quarantine", "list", "--filter", "state = RELEASED")
    assert BOB in held
    assert ANN not in held
    well(house, "actions", "undo", taking, "-m", "a false alarm", "--wait")
    assert all_seen(tree(house)) == before


def test_mailboxes_are_listed_with_what_is_known_of_them(house: House) -> None:
    """As a table and as JSON; nobody says that nobody forwards where that is not known."""
    size = len(ordinary(1)) + len(CAMPAIGN)
    listed = well(house, "mailboxes", "list", person="carol")
    assert re.search(rf"{ANN} +2 +{size:,} +not known here", listed)
    found = json.loads(well(house, "--json", "mailboxes", "show", ANN))
    assert (found["name"], found["message_count"], found["size_bytes"]) == (f"mailboxes/{ANN}", "2", str(size))
    unknown = house.quell("mailboxes", "list", "--forwarding")
    assert unknown.returncode == 4
    assert "FORWARDINGS_UNKNOWN" in unknown.stderr
