"""What packages brought is read from dpkg's own files."""

import hashlib
import os
from pathlib import Path

import pytest

from quell_agent.execution.packages import Packages, bring, missing


def md5(text: str) -> str:
    """Return what dpkg lists."""
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - dpkg's


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database of two packages."""
    (tmp_path / "info").mkdir()
    listed = f"{md5('a')}  usr/bin/a\n{md5('sh')}  bin/sh\n{md5('x')}  usr/share/doc/x\n{md5('s p')}  usr/bin/s p\n"
    (tmp_path / "info/one.md5sums").write_text(listed)
    (tmp_path / "info/two.md5sums").write_text(f"{md5('b')}  usr/bin/a\n")
    status = (
        f"Package: one\nConffiles:\n /etc/init.d/a {md5('conf')}\n /etc/b {md5('old')} obsolete\nDescription: a /b\n"
    )
    (tmp_path / "status").write_text(f"{status} and more of it\n")
    (tmp_path / "diversions").write_text("/bin/sh\n/bin/sh.distrib\nother\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "contents"),
    [
        ("/usr/bin/a", ["a", "b"]),
        ("/bin/sh", ["sh"]),
        ("/usr/bin/sh", ["sh"]),
        ("/bin/sh.distrib", ["sh"]),
        ("/usr/bin/s p", ["s p"]),
        ("/etc/init.d/a", ["conf"]),
        ("/etc/b", ["old"]),
        ("/usr/bin/none", []),
        ("/bin/a", []),
        ("/usr/share/doc/x", []),
    ],
)
def test_digests(database: Path, path: str, contents: list[str]) -> None:
    """By path, also where it was before /usr took all in, and where it was diverted to; documents are not code."""
    found = Packages(database).digests(path.encode())
    assert sorted(each.hex() for each in found) == sorted(map(md5, contents))


def test_it_knows_when_it_is_outdated(database: Path) -> None:
    """A package that came or went changes the folder; nothing else does."""
    packages = Packages(database)
    assert not packages.changed()
    os.utime(database / "info", ns=(0, 1))
    assert packages.changed()


def test_what_a_package_brought(database: Path) -> None:
    """By path alone."""
    assert bring(database, "/usr/bin/sh")
    assert not bring(database, "/usr/bin/other")


def test_a_machine_without_it_says_so(database: Path, tmp_path: Path) -> None:
    """And one with it does not."""
    assert missing(database) == ""
    assert "Debian" in missing(tmp_path / "none")
