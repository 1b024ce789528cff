"""What runs inside the namespaces of a network lab, one process a role, asked by lines and answering by lines.

`far`: a host that serves and hears every frame. `client`: a session that stays open. `attempt`: one try to get out.
`proxy`: a Unix socket whose other side goes out. It needs nothing but the standard library.
"""

import asyncio
import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine

BROADCAST = b"\xff" * 6
PACKET_QDISC_BYPASS = 20
HEARD: list[bytes] = []


async def far(*ports: str) -> None:
    """Serve TCP on ports, echoing, and tell in how many frames a token came.

    `!` asks how many came since the last such question that are not what neighbours need: ARP, and some ICMPv6.
    """
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE if hasattr(socket, "SO_RCVBUFFORCE") else 33, 1 << 24)
    ends = [(host, int(port)) for port in ports for host in ("0.0.0.0", "::")]  # noqa: S104 - a lab
    servers = [await asyncio.start_server(_echo, *end, reuse_port=True) for end in ends]
    asyncio.get_running_loop().add_reader(ear, _hear, ear)
    say("ready")
    async for word in lines():
        _hear(ear)
        if word == "!":
            say(str(sum(not _of_neighbours(each) for each in HEARD)))
            HEARD.clear()
        else:
            say(str(sum(word.encode() in each for each in HEARD)))
    for server in servers:
        server.close()


def _of_neighbours(each: bytes) -> bool:
    """Tell whether a frame is ARP, or ICMPv6 of the sorts that the kernel sends by itself (RFC 4861, RFC 3810)."""
    kind, head = each[12:14], each[14:]
    if kind != b"\x86\xdd":
        return kind == b"\x08\x06"
    message = head[48:] if head[6] == 0 else head[40:]
    return head[6] in {0, 58} and message[0] in {133, 135, 136, 143}


def _hear(ear: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError, OSError):
        while True:
            frame, (_, _, kind, *_) = ear.recvfrom(1 << 16)
            if kind != socket.PACKET_OUTGOING:
                HEARD.append(frame)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


async def client(host: str, port: str, uid: str) -> None:
    """Hold a session: each word is sent, and answered by what came back, or by `lost`."""
    os.setuid(int(uid))
    reader, writer = await asyncio.open_connection(host, int(port))
    say("ready")
    async for word in lines():
        try:
            writer.write(word.encode())
            await writer.drain()
            say((await asyncio.wait_for(reader.readexactly(len(word)), 1.5)).decode())
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            say("lost")


async def proxy(path: str, host: str, port: str) -> None:
    """Send on whatever comes by a Unix socket."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            _, out = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 1.5)
            out.write(await reader.read(4096))
            await out.drain()
            out.close()
        writer.close()

    server = await asyncio.start_unix_server(pass_on, path)
    say("ready")
    async for _ in lines():
        pass
    server.close()


def udp(token: bytes, host: str, port: str, device: str = "", source: str = "0", uid: str = "0") -> None:
    """Send a datagram."""
    os.setuid(int(uid))
    with _socket(host, socket.SOCK_DGRAM, device) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if int(source):
            out.bind(("", int(source)))
        out.sendto(token, (host, int(port)))


def tcp(token: bytes, host: str, port: str, device: str = "", uid: str = "0", source: str = "0") -> None:
    """Connect and send. A socket is of the user who made it."""
    os.setuid(int(uid))
    with _socket(host, socket.SOCK_STREAM, device) as out:
        out.settimeout(1)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if int(source):
            out.bind(("", int(source)))
        out.connect((host, int(port)))
        out.sendall(token)
        out.recv(4096)


def icmp(token: bytes, host: str) -> None:
    """Send an echo request by a raw socket."""
    out = _socket(host, socket.SOCK_RAW, protocol=1 if "." in host else 58)
    message = struct.pack("!BBHHH", 8 if "." in host else 128, 0, 0, 1, 1) + token + bytes(len(token) % 2)
    if "." in host:
        message = message[:2] + struct.pack("!H", _sum(message)) + message[4:]
    out.sendto(message, (host, 0))


def forged(token: bytes, kind: str, host: str, device: str) -> None:
    """Send a forged neighbour or router message (ICMPv6 133 to 137), with a token in it, by a raw socket."""
    out = _socket(host, socket.SOCK_RAW, device, 58)
    for hops in (socket.IPV6_UNICAST_HOPS, socket.IPV6_MULTICAST_HOPS):
        out.setsockopt(socket.IPPROTO_IPV6, hops, 255)
    option = bytes([1, 2]) + token[:14].ljust(14, b"\0")
    out.sendto(struct.pack("!BBHI", int(kind), 0, 0, 0) + bytes(16) + option, (host, 0))


def raw_ip(token: bytes, host: str, port: str) -> None:
    """Send a TCP segment with a header of its own, as if it were one of a session."""
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    segment = struct.pack("!HHIIBBHHH", 40000, int(port), 1, 1, 5 << 4, 0x18, 1000, 0, 0) + token
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 1, 0, 64, 6, 0, bytes(4), socket.inet_aton(host))
    out.sendto(head + segment, (host, 0))


def frame(token: bytes, device: str, kind: str, how: str = "") -> None:
    """Send a frame by a packet socket; `how`: past the queue, or as ARP, as ND, as an IP datagram."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        if how == "bypass":
            out.setsockopt(263, PACKET_QDISC_BYPASS, 1)
        out.bind((device, 0))
        own = out.getsockname()[4]
        out.send(BROADCAST + own + struct.pack("!H", int(kind, 16)) + BODIES.get(how, bytes)() + token)


def _arp() -> bytes:
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, bytes(6), bytes(4), bytes(6), bytes(4))


def _datagram() -> bytes:
    ends = (socket.inet_aton("10.90.2.1"), socket.inet_aton("10.90.2.2"))
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + 32, 1, 0, 64, 17, 0, *ends)
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + struct.pack("!HHHH", 4000, 53, 40, 0)


def _neighbour() -> bytes:
    ends = (socket.inet_pton(socket.AF_INET6, each) for each in ("fe80::1", "ff02::1"))
    return struct.pack("!IHBB16s16s", 6 << 28, 24 + 32, 58, 255, *ends) + struct.pack("!BBHI", 136, 0, 0, 0) + bytes(16)


BODIES: dict[str, Callable[[], bytes]] = {"arp": _arp, "nd": _neighbour, "ip": _datagram}


def express(token: bytes, device: str, queue: str = "0") -> None:
    """Send a frame by an AF_XDP socket, straight to the device's driver."""
    xdp, level, chunk = 44, 283, 4096
    memory = mmap.mmap(-1, chunk)
    out = socket.socket(xdp, socket.SOCK_RAW, 0)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    out.setsockopt(level, 4, struct.pack("QQIIII", start, chunk, chunk, 0, 0, 0))
    for ring in (5, 6, 3):
        out.setsockopt(level, ring, struct.pack("I", 1))
    offsets = struct.unpack_from("4Q", out.getsockopt(level, 1, 128), 32)
    sending = mmap.mmap(out.fileno(), offsets[2] + 16, offset=0x80000000)
    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("HHIII", xdp, 2, socket.if_nametoindex(device), int(queue), 0)
    if libc.bind(out.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "bind")
    whole = BROADCAST + bytes(6) + b"\x88\xb5" + token.ljust(50, b"\0")
    memory[: len(whole)] = whole
    struct.pack_into("QII", sending, offsets[2], 0, len(whole), 0)
    struct.pack_into("I", sending, offsets[0], 1)
    libc.sendto(out.fileno(), None, 0, 0x40, None, 0)


def unix(token: bytes, path: str) -> None:
    """Send by a Unix socket."""
    with socket.socket(socket.AF_UNIX) as out:
        out.settimeout(3)
        out.connect(path)
        out.sendall(token)
        out.recv(1)


def _socket(host: str, kind: int, device: str = "", protocol: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind, protocol)
    if device:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return made


def _sum(message: bytes) -> int:
    words: int = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return ~words & 0xFFFF


def attempt(token: str, way: str, *arguments: str) -> None:
    """Try one way out; whether it worked, who hears it tells."""
    try:
        WAYS[way](token.encode(), *arguments)
    except OSError as error:
        say(type(error).__name__)
    else:
        say("sent")


async def lines() -> AsyncIterator[str]:
    """Return what is asked, line by line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


def say(line: str) -> None:
    """Answer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


WAYS: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (udp, tcp, icmp, forged, raw_ip, frame, express, unix)
}


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    # Whatever becomes of who started it, it does not stay.
    signal.alarm(600)
    if role == "attempt":
        attempt(*given)
    else:
        roles: dict[str, Callable[..., Coroutine[None, None, None]]] = {"far": far, "client": client, "proxy": proxy}
        asyncio.run(roles[role](*given))
