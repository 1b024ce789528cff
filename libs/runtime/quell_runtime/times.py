"""Times in messages: the format lets through some that no calendar has, and no reader can show what holds one."""

from collections.abc import Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 and 9999."""
NANOS = 1_000_000_000


def impossible(message: Message) -> str:
    """Return the path of the first time that never is, `evidence[17].observe_time`; an empty text if all are good."""
    for field in _leading(message.DESCRIPTOR):
        for path, one in _present(message, field):
            if isinstance(one, Timestamp):
                if not (FIRST <= one.seconds <= LAST and 0 <= one.nanos < NANOS):
                    return path
            elif within := impossible(one):
                return f"{path}.{within}"
    return ""


def _present(message: Message, field: FieldDescriptor) -> Iterator[tuple[str, Message]]:
    if field.is_repeated:
        yield from ((f"{field.name}[{index}]", one) for index, one in enumerate(getattr(message, field.name)))
    elif message.HasField(field.name):
        yield field.name, getattr(message, field.name)


@cache
def _leading(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message in which a time can be; maps are not looked into, our contracts have none."""
    return tuple(field for field in descriptor.fields if field.message_type and _has_time(field.message_type, ()))


def _has_time(descriptor: Descriptor, met: tuple[str, ...]) -> bool:
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        return True
    if descriptor.full_name in met or descriptor.GetOptions().map_entry:
        return False
    inner = (field.message_type for field in descriptor.fields if field.message_type)
    return any(_has_time(one, (*met, descriptor.full_name)) for one in inner)
