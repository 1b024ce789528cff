"""Promise: the Debian package installs, upgrades with waiting work, removes, and purged leaves nothing.

It takes minutes, so that `make test-deb` runs it alone. Root on Debian and mmdebstrap are needed; nothing is started.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "deb.py"
DATA = "var/lib/quell-agent"
PYTHON = "/opt/quell-agent/bin/python"
# What dpkg and the tools for accounts keep for themselves, with or without this package.
KEPT = (
    *("var/lib/dpkg", "var/cache", "var/log", "root", "proc", "sys", "dev"),
    *("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock"),
)
WAITS = """
import asyncio, sys
from pathlib import Path
from quell_executor.executor import JOURNAL
from quell_executor.journal.records import OUTGOING, Outgoing, Sort
from quell_runtime.store.opening import opened

async def main():
    async with opened(Path("/var/lib/quell-agent"), JOURNAL, name="journal") as journal:
        if sys.argv[1:] == ["write"]:
            await journal.change(lambda view: view.put(OUTGOING, Outgoing("r1", "a1", Sort.RECEIPT, 1, b"waits")))
        print([(row.id, row.body) for row in await journal.select(OUTGOING, "WHERE stored = 0")])

asyncio.run(main())
"""


@dataclass(frozen=True)
class Machine:
    """A Debian in a folder, with two versions of the package in it."""

    root: Path
    older: str
    newer: str

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command in it."""
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["/usr/sbin/chroot", self.root, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, str]:
        """Return every file with its content where that is small, without what is not the package's."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if not name.startswith(KEPT):
                whole = path.is_file() and not path.is_symlink() and name.startswith("etc/")
                found[name] = path.read_text(errors="replace") if whole else ""
        return found


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a fresh machine in a folder."""
    if os.geteuid() or not Path("/etc/debian_version").exists():
        pytest.skip("only root on Debian makes another Debian in a folder")
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is missing: apt install mmdebstrap")
    folder = tmp_path_factory.mktemp("deb")
    names = []
    for version in ("0.0.1", "0.0.2"):
        done = subprocess.run(  # noqa: S603 - our own arguments
            [sys.executable, TOOL, "--version", version, "--to", folder], check=True, capture_output=True, text=True
        )
        names.append(Path(done.stdout.strip()).name)
    root = folder / "root"
    make = ["--quiet", "--variant=apt", "--include=python3,init-system-helpers,passwd", "bookworm", str(root)]
    subprocess.run(["/usr/bin/mmdebstrap", *make], check=True, timeout=600)  # noqa: S603 - our own arguments
    for name in names:
        shutil.move(folder / name, root / "root" / name)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    yield Machine(root, f"/root/{names[0]}", f"/root/{names[1]}")
    shutil.rmtree(root)


@pytest.mark.timeout(900)
def test_a_life_of_the_package(machine: Machine) -> None:
    """Installed, upgraded while work waits, kept while isolated or restricted, removed, purged: nothing is left."""
    before = machine.files()
    data = machine.root / DATA

    machine.run("dpkg", "-i", machine.older)
    assert "quell-agent" in (machine.root / "etc/passwd").read_text()
    wanted = machine.root / "etc/systemd/system"
    assert (wanted / "multi-user.target.wants/quell-agent.service").is_symlink()
    for unit in ("isolation", "restriction"):
        assert (wanted / f"sysinit.target.wants/quell-agent-{unit}.service").is_symlink()
    assert data.stat().st_mode & 0o777 == 0o700
    assert "--config" in machine.run("/opt/quell-agent/bin/quell-agent", "--help")
    # All that it starts is there as well, and comes from the package.
    modules = "quell_agent.agent, quell_agent.talker.__main__, quell_agent.package.__main__, yara_x"
    said = machine.run(PYTHON, "-I", "-c", f"import {modules}; print(yara_x.__file__)")
    assert said.startswith("/opt/quell-agent/")
    assert machine.run(PYTHON, "-I", "-c", WAITS, "write") == "[('r1', b'waits')]\n"

    machine.run("dpkg", "-i", machine.newer)
    assert "0.0.2" in machine.run("dpkg-query", "-W", "quell-agent")
    assert machine.run(PYTHON, "-I", "-c", WAITS) == "[('r1', b'waits')]\n"

    for stands in ("isolation/isolation.nft", "execution/record.json"):
        (data / stands).parent.mkdir()
        (data / stands).touch()
        machine.run("dpkg", "-r", "quell-agent", code=1)
        assert (machine.root / "opt/quell-agent/bin/quell-agent").exists()
        shutil.rmtree((data / stands).parent)

    (data / "vault").mkdir()
    (data / "vault/item").touch()
    assert "quarantined files stay" in machine.run("dpkg", "-r", "quell-agent")
    assert not (machine.root / "opt/quell-agent").exists()
    assert not list(wanted.rglob("quell-agent*"))
    assert (data / "journal.db").exists()
    assert machine.files() != before

    assert "are gone now" in machine.run("dpkg", "-P", "quell-agent")
    # An empty /opt dpkg takes away with the last package there.
    assert {"opt": "", **machine.files()} == before
