r"""From a path to a name in the archive that every system can unpack, and that leads nowhere else.

What is not plain in a name is written `%HH`: a backslash is a separator elsewhere, a newline or a byte that is not
UTF-8 breaks tools. The path itself stands in the manifest.
"""

import hashlib
import os
import string

PLAIN = frozenset((string.ascii_letters + string.digits + "._-+@=,~ ()[]{}!#$&^'").encode())
LONGEST = 200


def entry_of(path: str) -> str:
    """Return the name for a file's copy: the path below `files`."""
    return "/".join(["files", *(_plain(part) for part in path.split("/") if part)])


def _plain(part: str) -> str:
    raw = os.fsencode(part)
    # Dots and spaces at the end are cut off by some systems, and `..` leads upwards.
    kept = len(raw.rstrip(b". "))
    name = "".join(chr(byte) if byte in PLAIN and at < kept else f"%{byte:02X}" for at, byte in enumerate(raw))
    if len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}~{hashlib.sha256(raw).hexdigest()[:16]}"
