"""People are who `people.toml` says, and a file that is wrong changes nothing."""

import os
from pathlib import Path

import pytest
from quell.annotations.v1 import annotations_pb2

from quell_runtime import people
from quell_runtime.identity import Identity
from quell_runtime.people import People, PeopleInvalidError

TEXT = """
[people.ann]
identities = ["spiffe://example/operator/ann", "spiffe://example/operator/ann-laptop"]
roles = ["responder"]

[people.olga]
identities = ["spiffe://example/operator/olga"]
permissions = ["actions.decide", "release_device_from_isolation.approve"]
keys = [
  "4141414141414141414141414141414141414141414141414141414141414141",
  "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=",
]
"""
OTHER = "\n[people.bob]\nidentities = ['spiffe://example/operator/bob']\n"


def operator(name: str) -> Identity:
    """Return an operator's identity."""
    return Identity(annotations_pb2.CALLER_OPERATOR, "example", name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write the file."""
    found = tmp_path / "people.toml"
    found.write_text(TEXT)
    return found


def test_one_person_behind_two_identities_is_one(path: Path) -> None:
    """Whichever calls."""
    known = People(path)
    assert known.of(operator("ann")) == known.of(operator("ann-laptop")) == known.named("ann")
    assert known.of(operator("nobody")) is None
    assert known.named("nobody") is None


def test_the_right_to_release_is_not_the_right_to_isolate(path: Path) -> None:
    """Each kind has its own, and it can be given alone."""
    olga = People(path).named("olga")
    assert olga is not None
    assert olga.may("release_device_from_isolation.approve")
    assert not olga.may("isolate_device.approve")
    assert not olga.may("release_device_from_isolation.create")


def test_own_keys_are_written_in_hex_or_base64(path: Path) -> None:
    """Both are the same 32 bytes."""
    olga, ann = People(path).named("olga"), People(path).named("ann")
    assert olga is not None
    assert ann is not None
    assert olga.keys == {b"A" * 32, b"B" * 32}
    assert ann.keys == frozenset()


def test_a_change_counts_at_once_and_a_damaged_file_leaves_what_was_known(path: Path) -> None:
    """A right that is taken is gone with the next call."""
    known = People(path)
    path.write_text(TEXT.replace("responder", "viewer"))
    ann = known.of(operator("ann"))
    assert ann is not None
    assert not ann.may("actions.create")
    path.write_text("[people")
    assert known.of(operator("ann")) == ann
    path.unlink()
    assert known.of(operator("ann")) == ann
    path.write_text("")
    os.utime(path, ns=(1, 1))
    assert known.of(operator("ann")) is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[people", ""),
        ("[persons.ann]", "persons"),
        ("[people]\nann = 1", "people.ann"),
        ("[people.'a b']", "people.a b"),
        ("[people.ann]\nrole = []", "people.ann"),
        ("[people.ann]\nroles = 'admin'", "people.ann.roles"),
        ("[people.ann]\nroles = ['root']", "people.ann.roles"),
        ("[people.ann]\nidentities = ['ann']", "people.ann.identities"),
        ("[people.ann]\npermissions = ['*.approve']", "people.ann.permissions"),
        ("[people.ann]\npermissions = ['isolate.approve']", "people.ann.permissions"),
        (TEXT + "\n[people.bob]\nidentities = ['spiffe://example/operator/ann']", "people.bob.identities"),
        ("[people.ann]\nkeys = ['abc']", "people.ann.keys"),
        ("[people.ann]\nkeys = 'abc'", "people.ann.keys"),
        (TEXT + OTHER + f"keys = ['{'41' * 32}']", "people.olga.keys"),
    ],
)
def test_what_is_wrong_is_named(text: str, field: str) -> None:
    """And nothing of it is taken."""
    with pytest.raises(PeopleInvalidError) as refusal:
        people.read(text)
    assert refusal.value.field == field


def test_a_process_does_not_start_on_a_damaged_file(tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "people.toml"
    with pytest.raises(PeopleInvalidError, match=r"people\.toml"):
        People(path)
    path.write_text("[people.ann]\nroles = ['root']")
    with pytest.raises(PeopleInvalidError, match=r"people\.toml: people\.ann\.roles: unknown role root"):
        People(path)
