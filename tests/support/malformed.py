"""Malformed requests, made from a good one by the contract's own rules: each breaks one rule of one field."""

import re
from collections.abc import Iterator
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.message import Message

NASTY = ("../../etc/passwd", "'; DROP TABLE actions; --\0\n", "\u202egnp.exe", "x" * 100_000)
Broken = tuple[str, Message]
"""The path of the field, and the request."""


def broken(good: Message, path: str = "") -> Iterator[Broken]:
    """Yield requests that each break one rule."""
    for field in good.DESCRIPTOR.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if not field.containing_oneof or good.WhichOneof(field.containing_oneof.name) == field.name:
            found = _of_many(good, field.name, rules) if field.is_repeated else _of_one(good, field.name, rules)
            yield from ((path + field.name, bad) for bad in found)
        if field.message_type and not field.is_repeated and good.HasField(field.name):
            for at, inner in broken(getattr(good, field.name), f"{path}{field.name}."):
                bad = _copy(good)
                getattr(bad, field.name).CopyFrom(inner)
                yield at, bad
    for oneof in good.DESCRIPTOR.oneofs:
        if oneof.GetOptions().Extensions[validate_pb2.oneof].required:
            yield path + oneof.name, _cleared(good, oneof.name)


def _of_one(good: Message, name: str, rules: Any) -> Iterator[Message]:  # noqa: ANN401 - validate_pb2 knows
    if rules.required:
        yield _cleared(good, name)
    for value in _bad_values(rules):
        bad = _copy(good)
        setattr(bad, name, value)
        yield bad


def _of_many(good: Message, name: str, rules: Any) -> Iterator[Message]:  # noqa: ANN401 - validate_pb2 knows
    if rules.repeated.min_items:
        yield _cleared(good, name)
    if rules.repeated.HasField("max_items") and (held := list(getattr(good, name))):
        bad = _copy(good)
        getattr(bad, name).extend(held * (rules.repeated.max_items // len(held) + 1))
        yield bad


def _bad_values(rules: Any) -> Iterator[str | int]:  # noqa: ANN401 - validate_pb2 knows
    text = rules.string
    if text.min_len:
        yield ""
    if text.HasField("max_len"):
        yield "x" * (text.max_len + 1)
    if text.pattern or text.uuid:
        # Python's expressions have no [:space:]; what a pattern lets through is good.
        pattern = re.compile(text.pattern.replace("[:space:]", r"\s") or "^$")
        yield from (value for value in NASTY if not pattern.search(value))
    if rules.enum.defined_only:
        yield 99
    if 0 in rules.enum.not_in or rules.uint64.HasField("gte"):
        yield 0
    if rules.int32.HasField("gte"):
        yield -1


def _cleared(good: Message, name: str) -> Message:
    bad = _copy(good)
    bad.ClearField(name)
    return bad


def _copy(good: Message) -> Message:
    bad = type(good)()
    bad.CopyFrom(good)
    return bad
