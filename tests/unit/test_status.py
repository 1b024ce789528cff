"""The README says of every kind and RPC whether it is served, and is never out of date."""

import re
import subprocess
import sys

from house import ROOT
from quell_runtime.kinds import kinds


def test_the_readme_is_up_to_date() -> None:
    """As the contracts, the executors and the servicers are now."""
    command = [sys.executable, str(ROOT / "tools" / "status.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_kind_is_in_it() -> None:
    """With its inverse, if it has one."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows.keys() == kinds().keys()
    assert "**served**" in rows["block_url"]
    assert all(row.endswith(("**served**", "not built yet")) for row in rows.values())


def test_it_tells_what_each_kind_needs_of_a_device() -> None:
    """All of them, each once, and nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"\n\| on a device \|.*?\n\|[-|]+\|\n(.*?)\n\n", text, re.DOTALL)
    assert told is not None
    names = [name for row in told[1].splitlines() for name in row.split(" | ")[0].removeprefix("| ").split(", ")]
    assert sorted(names) == sorted(name.replace("_", " ") for name, kind in kinds().items() if kind.plane == "device")
