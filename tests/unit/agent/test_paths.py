"""A path in a message means exactly one path on disk, whatever bytes it has; names of what is meant agree."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.remediation.v1 import device_pb2, target_pb2

from quell_agent.before import Before
from quell_agent.files import Content, meant, opened_folder, shown
from quell_agent.search import named, names_that_mean

NAMES = st.lists(st.binary(min_size=1, max_size=8).filter(lambda name: name not in {b".", b".."}), min_size=1)


@given(names=NAMES)
def test_every_path_comes_back(names: list[bytes]) -> None:
    """Shown and meant is the same path; what is shown is text that a message can carry."""
    path = os.fsdecode(b"/" + b"/".join(name.replace(b"/", b"_").replace(b"\0", b"_") for name in names))
    assert os.fsencode(meant(shown(path))) == os.fsencode(path)
    shown(path).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "path"),
    [("/a/./b/../c", "/a/c"), ("//a//b/", "/a/b"), ("/..", "/"), (r"/\x61", "/a"), (r"/\\x61", r"/\x61"), ("", "")],
)
def test_a_path_is_meant_in_its_shortest_form(text: str, path: str) -> None:
    """So that one file has one name."""
    assert meant(text) == path


def test_a_zero_byte_cuts_nothing_off() -> None:
    """The C library would read only what stands before it."""
    with pytest.raises(OSError, match="Invalid argument"), opened_folder("/tmp\0/x"):  # noqa: S108 - never opened
        pass


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        ({"path": "/opt/a/evil"}, []),
        ({"path": "/opt/a/../a/evil", "sha256": "ab"}, []),
        ({"sha256": "ab"}, []),
        ({"sha1": "cd"}, []),
        ({"sha256": "ab", "sha1": "cd"}, ["/opt"]),
        ({"sha1": "cd"}, ["/", "/var"]),
    ],
)
def test_whatever_an_order_names_its_items_know(file: dict[str, str], folders: list[str]) -> None:
    """A later order that means a file by another name is seen by it."""
    order = device_pb2.StopAndQuarantine(file=target_pb2.FileSelector(**file), search_folders=folders)
    found = Before("/opt/a/evil", Content("ab", "cd"), "record", ("/opt/a/evil",))
    assert names_that_mean(found) & named(order)
