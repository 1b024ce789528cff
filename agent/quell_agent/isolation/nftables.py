"""The kernel's packet filter by libnftables: scripts in one transaction, and tables that nobody else can change.

A context has one netlink socket, in the network namespace of the thread that made it. From kernel 6.9 on, tables can
belong to such a socket (`owner`) and outlive it (`persist`). The library has no word for that in every version, so
those tables are made by a message of our own, on the library's socket.
"""

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

LIBRARY = "libnftables.so.1"
NETLINK_NETFILTER = 12
STATELESS_TERSE_NUMERIC = 1 << 2 | 1 << 11 | 1 << 7 | 1 << 8 | 1 << 9
PROTOCOLS = {"inet": 1, "ip": 2, "netdev": 5, "bridge": 7, "ip6": 10, "arp": 3}
OWNER_AND_PERSIST = 2 | 4
BATCH_BEGIN, BATCH_END, NEW_TABLE = 16, 17, 10 << 8
REQUEST, ACKNOWLEDGE, CREATE = 0x1, 0x4, 0x400
ERROR, LEAST = 2, 20
_OPENING = threading.Lock()


@dataclass(frozen=True, slots=True, order=True)
class Table:
    """A table, by family and name."""

    family: str
    name: str


class NftablesError(Exception):
    """The kernel or the library did not take a script: nothing of it was done."""


class Nftables:
    """A context. Its calls are not made at once by two threads: whoever has it, locks."""

    def __init__(self) -> None:
        """Open one in the network namespace of this thread.

        Raises:
            NftablesError: There is no such library, or it can't be used by this user.

        """
        library = _library()
        with _OPENING:
            before = _netlink_sockets()
            self._context = library.nft_ctx_new(0)
            new = _netlink_sockets() - before
        if not self._context or len(new) != 1:
            raise NftablesError("nftables can't be opened here")
        self._library = library
        self._socket = new.pop()
        os.set_inheritable(self._socket, False)  # noqa: FBT003 - it takes no name
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_output_set_flags(self._context, STATELESS_TERSE_NUMERIC)

    def close(self) -> None:
        """Let go: tables that belong to this context belong to nobody then, and stay."""
        if self._context:
            self._library.nft_ctx_free(self._context)
        self._context = None

    def run(self, script: str) -> str:
        """Run a script in one transaction and return what it lists.

        Raises:
            NftablesError: Nothing of it was done.

        """
        code = self._library.nft_run_cmd_from_buffer(self._context, script.encode())
        out = self._library.nft_ctx_get_output_buffer(self._context) or b""
        error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if code:
            raise NftablesError(error.decode(errors="replace").strip() or f"code {code}")
        return str(out, "utf-8", "replace")

    def could(self, script: str) -> bool:
        """Tell whether the kernel would take a script. Nothing is done."""
        self._library.nft_ctx_set_dry_run(self._context, True)  # noqa: FBT003 - a C function
        try:
            self.run(script)
        except NftablesError:
            return False
        finally:
            self._library.nft_ctx_set_dry_run(self._context, False)  # noqa: FBT003 - a C function
        return True

    def take(self, tables: Sequence[Table]) -> bool:
        """Make tables that only this context can change, or take over such ones that have no owner any more.

        False: this kernel can't, or one of them is of another sort or another's; nothing was done.
        """
        table_messages = [
            _message(NEW_TABLE, REQUEST | ACKNOWLEDGE | CREATE, number, PROTOCOLS[table.family], 0, _table(table))
            for number, table in enumerate(tables, 2)
        ]
        last = len(tables) + 2
        subsystem = socket.htons(NEW_TABLE >> 8)
        begin = _message(BATCH_BEGIN, REQUEST, 1, 0, subsystem)
        end = _message(BATCH_END, REQUEST, last, 0, subsystem)
        with socket.socket(fileno=os.dup(self._socket)) as link:
            link.send(b"".join([begin, *table_messages, end]))
            return all(code == 0 for code in _answers(link, len(tables)))


def _answers(link: socket.socket, wanted: int) -> Iterable[int]:
    """Return the codes that the kernel answers with: it has done so when `send` returns."""
    codes = list[int]()
    with contextlib.suppress(BlockingIOError):
        while True:
            got = link.recv(1 << 16, socket.MSG_DONTWAIT)
            while len(got) >= LEAST:
                length, kind = struct.unpack_from("IH", got)
                if kind == ERROR:
                    codes.append(struct.unpack_from("i", got, 16)[0])
                got = got[length + 3 & ~3 :]
    return codes if len(codes) >= wanted else [*codes, -1]


def _message(kind: int, flags: int, number: int, family: int, resource: int, body: bytes = b"") -> bytes:
    payload = struct.pack("BBH", family, 0, resource) + body
    return struct.pack("IHHII", 16 + len(payload), kind, flags, number, 0) + payload


def _table(table: Table) -> bytes:
    name = table.name.encode() + b"\0"
    return (
        struct.pack("HH", 4 + len(name), 1)
        + name
        + bytes(-len(name) % 4)
        + struct.pack("HH", 8, 2)
        + struct.pack(">I", OWNER_AND_PERSIST)
    )


def _netlink_sockets() -> set[int]:
    """Return the descriptors of this process that are netlink sockets for netfilter."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are wanted
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:") and _is_for_netfilter(int(entry)):  # noqa: PTH115 - no path
                found.add(int(entry))
    return found


def _is_for_netfilter(descriptor: int) -> bool:
    # Told its sort, it does not ask for a name, which some sorts of socket do not have.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER, os.dup(descriptor)) as each:
        sort = [each.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_DOMAIN, socket.SO_PROTOCOL)]
    return sort == [socket.AF_NETLINK, NETLINK_NETFILTER]


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise NftablesError("libnftables is not installed") from None
    pointer, text, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, *arguments in (
        ("nft_ctx_new", pointer, ctypes.c_uint32),
        ("nft_ctx_free", None, pointer),
        ("nft_ctx_buffer_output", whole, pointer),
        ("nft_ctx_buffer_error", whole, pointer),
        ("nft_ctx_get_output_buffer", text, pointer),
        ("nft_ctx_get_error_buffer", text, pointer),
        ("nft_ctx_output_set_flags", None, pointer, ctypes.c_uint),
        ("nft_ctx_set_dry_run", None, pointer, ctypes.c_bool),
        ("nft_run_cmd_from_buffer", whole, pointer, text),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def missing() -> str:
    """Return why nothing can be isolated here; empty: it can. Nothing is changed."""
    if os.geteuid() != 0:
        return "it needs root"
    try:
        nft = Nftables()
    except NftablesError as error:
        return str(error)
    with closing(nft):
        try:
            nft.run("list tables")
        except NftablesError:
            return "this kernel has no nftables, or the agent may not use it"
    return ""
