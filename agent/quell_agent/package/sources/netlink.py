"""What the kernel tells of interfaces, addresses, routes, rules and neighbours, over rtnetlink (RFC 3549)."""

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
REQUEST_DUMP = 0x001 | 0x300
DONE, ERROR = 3, 2
NESTED_BITS = 0x3FFF
SECONDS = 10


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of thing: what is asked for, how each begins, and which attributes are told and how."""

    request: int
    head: struct.Struct
    fields: tuple[str, ...]
    attributes: dict[int, tuple[str, str]]


ROUTE_FIELDS = ("family", "to_bits", "from_bits", "tos", "table", "protocol", "scope", "type", "flags")
TABLES = {
    "interfaces": Table(
        18,
        struct.Struct("=BxHiI4x"),
        ("family", "type", "index", "flags"),
        {
            1: ("hardware_address", "mac"),
            3: ("name", "text"),
            4: ("mtu", "number"),
            5: ("link", "number"),
            10: ("master", "number"),
            16: ("state", "byte"),
            30: ("promiscuity", "number"),
            43: ("xdp", "bytes"),
        },
    ),
    "addresses": Table(
        22,
        struct.Struct("=BBBBi"),
        ("family", "bits", "flags", "scope", "index"),
        {1: ("address", "ip"), 2: ("local", "ip"), 3: ("label", "text")},
    ),
    "routes": Table(
        26,
        struct.Struct("=BBBBBBBBI"),
        ROUTE_FIELDS,
        {
            1: ("to", "ip"),
            2: ("from", "ip"),
            4: ("output", "number"),
            5: ("gateway", "ip"),
            6: ("priority", "number"),
            7: ("preferred_source", "ip"),
            15: ("table", "number"),
        },
    ),
    "neighbours": Table(
        30,
        struct.Struct("=BxxxiHBB"),
        ("family", "index", "state", "flags", "type"),
        {1: ("address", "ip"), 2: ("hardware_address", "mac")},
    ),
    "rules": Table(
        34,
        struct.Struct("=BBBBB2xBI"),
        ("family", "to_bits", "from_bits", "tos", "table", "action", "flags"),
        {
            1: ("to", "ip"),
            2: ("from", "ip"),
            3: ("input", "text"),
            6: ("priority", "number"),
            10: ("mark", "number"),
            15: ("table", "number"),
            16: ("mark_mask", "number"),
            17: ("output", "text"),
        },
    ),
}


def dump(name: str) -> Iterator[dict[str, Any]]:
    """Yield all things of a kind.

    Raises:
        OSError: The kernel does not answer, or refuses to.

    """
    table = TABLES[name]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asked:
        asked.settimeout(SECONDS)
        body = bytes(table.head.size)
        asked.send(HEADER.pack(HEADER.size + len(body), table.request, REQUEST_DUMP, 1, 0) + body)
        while True:
            answer = asked.recv(1 << 17)
            while len(answer) >= HEADER.size:
                size, kind, *_ = HEADER.unpack_from(answer)
                if kind == DONE:
                    return
                if kind == ERROR:
                    code = -struct.unpack_from("=i", answer, HEADER.size)[0]
                    raise OSError(code, os.strerror(code))
                yield _thing(table, answer[HEADER.size : size])
                answer = answer[-(-size // 4) * 4 :]


def _thing(table: Table, message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(table.fields, table.head.unpack_from(message), strict=True))
    left = message[-(-table.head.size // 4) * 4 :]
    while len(left) >= ATTRIBUTE.size:
        size, kind = ATTRIBUTE.unpack_from(left)
        if size < ATTRIBUTE.size:
            break
        if (known := table.attributes.get(kind & NESTED_BITS)) is not None:
            found[known[0]] = _value(left[ATTRIBUTE.size : size], known[1])
        left = left[-(-size // 4) * 4 :]
    return found


def _value(raw: bytes, how: str) -> str | int:
    match how:
        case "number" | "byte":
            return int.from_bytes(raw[:4], sys.byteorder)
        case "text":
            return raw.rstrip(b"\0").decode("utf-8", "backslashreplace")
        case "ip" if len(raw) in {4, 16}:
            return str(ipaddress.ip_address(raw))
        case "mac":
            return raw.hex(":")
        case _:
            return raw.hex()
