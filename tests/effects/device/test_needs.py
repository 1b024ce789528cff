"""What an agent offers as an ordinary user, and as root, is what the code says that each kind needs."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from quell_agent.needs import NEEDS
from quell_runtime.kinds import kinds

NOBODY = 65534
OFFERS = """
import json, os, sys
from pathlib import Path
import pyzipper, yara_x
from quell_agent.offers import Means, lack, offers
from quell_agent.settings import AgentSettings
from quell_runtime.kinds import kinds
from quell_runtime.seams import nowhere
# The interpreter's own folder may be closed to others: what is needed was loaded before.
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
data = Path(sys.argv[1])
found = offers(AgentSettings(data=data, rules=data), Means(None, nowhere, None, None, None))
ours = [kind.name for kind in kinds().values() if kind.plane == "device"]
print(json.dumps({name: "" if name in found else lack(name) for name in ours}))
"""


def offered(user: int) -> dict[str, str]:
    """Return why each kind is not offered to somebody; empty if it is."""
    with tempfile.TemporaryDirectory() as data:
        os.chown(data, user, user)
        command = [sys.executable, "-c", OFFERS, data, str(user)]
        said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout  # noqa: S603 - ours
    found: dict[str, str] = json.loads(said)
    return found


def test_every_kind_says_what_it_needs() -> None:
    """Of a device's."""
    assert NEEDS.keys() == {name for name, kind in kinds().items() if kind.plane == "device"}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_an_ordinary_user_lacks_what_it_says_and_nothing_else() -> None:
    """With the reason; control: what lacks nothing else, root has."""
    found = offered(NOBODY)
    assert {name for name, why in found.items() if not why} == {name for name, needs in NEEDS.items() if needs.ordinary}
    assert all("root" in why for why in found.values() if why)
    assert {name for name, why in offered(0).items() if "root" in why} == set()
