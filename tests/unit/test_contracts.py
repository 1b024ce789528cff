"""The contracts say of themselves all that access, previews, undo and documentation read from them."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import quell
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from quell.annotations.v1 import annotations_pb2

from quell_runtime.kinds import Kind, kinds

PERMISSION = re.compile(r"[a-z_]+\.[a-z_]+")


def files() -> Iterator[FileDescriptor]:
    """Yield every file of the contracts."""
    root = Path(next(iter(quell.__path__)))
    for path in sorted(root.rglob("*_pb2.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        yield importlib.import_module(name).DESCRIPTOR


FILES = list(files())
METHODS = [
    method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods_by_name.values()
]
ENUMS = [enum for file in FILES for enum in file.enum_types_by_name.values()]


DEVICE = {
    "collect_investigation_package",
    "isolate_device",
    "offboard_machine",
    "release_code_execution",
    "release_from_quarantine",
    "request_sample",
    "restrict_code_execution",
    "run_antivirus_scan",
    "stop_and_quarantine",
}
EMAIL = {
    "block_url",
    "soft_delete_messages",
    "quarantine_messages",
    "quarantine_attachment",
    "turn_off_external_forwarding",
}


def test_all_contracts_are_there() -> None:
    """There are 15 services, and 20 kinds: nine for devices and five for email with the inverses of both."""
    assert len({method.containing_service.full_name for method in METHODS}) == 15
    assert kinds().keys() >= DEVICE | EMAIL
    inverses = {kinds()[name].inverse for name in DEVICE | EMAIL} - {""}
    assert kinds().keys() == DEVICE | EMAIL | inverses
    assert len(kinds()) == 20


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_says_who_may_call_it(method: MethodDescriptor) -> None:
    """It names a permission as `noun.verb` and at least one kind of caller."""
    access = method.GetOptions().Extensions[annotations_pb2.access]
    assert PERMISSION.fullmatch(access.permission)
    assert access.callers
    assert annotations_pb2.CALLER_UNSPECIFIED not in access.callers


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_every_kind_says_what_it_promises(kind: Kind) -> None:
    """Aspect, target and reversibility are set, and the inverse names it back; of a pair one lets go."""
    assert kind.plane in {"device", "email"}
    assert kind.reversibility != annotations_pb2.REVERSIBILITY_UNSPECIFIED
    field = Default().FindMessageTypeByName("quell.remediation.v1.Remediation").fields_by_name[kind.name]
    assert field.message_type is not None
    assert kind.target_field in field.message_type.fields_by_name
    if kind.undoable:
        assert kind.inverse
    if kind.inverse:
        other = kinds()[kind.inverse]
        assert other.inverse == kind.name
        assert other.aspect == kind.aspect
        assert {kind.release, other.release} == {True, False}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.full_name)
def test_every_enum_begins_with_unspecified(enum: EnumDescriptor) -> None:
    """Zero is no meaning."""
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")
