"""The process that reads hostile mail: `python -m quell_email.parsing.child`. It answers its parent until that is gone.

A request is its length (4 bytes), a letter (`h`: a header block, `b`: a whole message, `l`: its links, `v`: what it
shows, `c`: a question of `parsing.cuts`), and the bytes; an answer is its length and JSON. A message that costs more
than 2 s of processor time or 512 MB ends the process, and only it.
"""

import json
import resource
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from quell_email.domain.headers import UnreadableError
from quell_email.links.parts import read_links
from quell_email.parsing.cuts import read_cuts
from quell_email.parsing.reading import read_body, read_headers
from quell_email.parsing.viewing import read_view

CPU_SECONDS = 2
MEMORY_BYTES = 512 << 20
FILES = 64
READERS: Mapping[bytes, Callable[[bytes], dict[str, Any]]] = {
    b"h": read_headers,
    b"b": lambda raw: {"marks": [mark.hex() for mark in read_body(raw)]},
    b"l": read_links,
    b"v": read_view,
    b"c": read_cuts,
}


def answer(mode: bytes, raw: bytes) -> dict[str, Any]:
    """Read one message. What can't be read is said so."""
    try:
        return READERS[mode](raw)
    except UnreadableError as error:
        return {"unparsable": str(error)}
    except (ValueError, LookupError, RecursionError, ArithmeticError, AttributeError, TypeError, MemoryError) as error:
        # Readers of the standard library raise what they like on hostile input.
        return {"unparsable": type(error).__name__}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end."""
    while head := requests.read(5):
        (length,) = struct.unpack(">I", head[:4])
        raw = requests.read(length)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        spent = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent.ru_utime + spent.ru_stime) + CPU_SECONDS, hard))
        body = json.dumps(answer(head[4:], raw)).encode()
        answers.write(struct.pack(">I", len(body)) + body)
        answers.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)
