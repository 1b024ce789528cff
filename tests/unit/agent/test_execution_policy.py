"""Policies survive being written down, and what is root's alone is told from what others could change."""

import os
import sys
from pathlib import Path

import pytest

import quell_agent
from quell_agent.execution.policy import Policy, Selector, is_below, is_roots_alone, own_code
from quell_agent.execution.trust import login_paths


def test_a_policy_is_what_was_written() -> None:
    """Names of any bytes too; and another policy has another digest."""
    policy = Policy(
        (Selector("ab", "", "/a\udcff"), Selector(path="/b")), ("/opt",), ("/x",), ("/sbin/*",), "/db", "closed"
    )
    assert Policy.load(policy.dump()) == policy
    assert Policy.load(policy.dump()).digest == policy.digest != Policy().digest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize(
    ("change", "alone"),
    [
        (lambda _: None, True),
        (lambda file: file.chmod(0o664), False),
        (lambda file: file.chmod(0o602), False),
        (lambda file: os.chown(file, 1000, 0), False),
        (lambda file: file.parent.chmod(0o777), False),
        (lambda file: file.parent.chmod(0o1777), True),
        (lambda file: os.chown(file.parent, 1000, 0), False),
        (lambda file: file.unlink(), False),
    ],
)
def test_what_is_roots_alone(tmp_path: Path, change: object, *, alone: bool) -> None:
    """A file in a folder, both root's, until one of them is others' to change."""
    file = tmp_path / "folder/file"
    file.parent.mkdir(mode=0o755)
    file.write_text("x")
    file.chmod(0o755)
    assert callable(change)
    change(file)
    assert is_roots_alone(str(file)) == alone


def test_below() -> None:
    """A folder is below itself; one that only begins alike is not."""
    assert is_below("/opt/a", ["/opt"])
    assert is_below("/opt", ["/opt/"])
    assert not is_below("/optical", ["/opt"])


def test_own_code_holds_the_interpreter_and_us() -> None:
    """What the agent needs to start again."""
    own = own_code()
    assert is_below(os.path.realpath(sys.executable), own)
    assert is_below(str(quell_agent.__file__), own)
    assert is_below(os.path.realpath(os.__file__), own)


def test_the_ways_in_are_files_without_links(tmp_path: Path) -> None:
    """By pattern; what does not lead anywhere we may look is left out, and nothing fails."""
    (tmp_path / "sshd").write_text("x")
    (tmp_path / "link").symlink_to("sshd")
    (tmp_path / "loop").symlink_to("loop")
    found = set(login_paths((f"{tmp_path}/*", "/nothing/*", "/proc/*/exe")))
    assert str(tmp_path / "sshd") in found
    assert str(tmp_path / "link") not in found
    assert os.path.realpath(sys.executable) in found
