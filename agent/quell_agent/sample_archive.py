"""A sample as it leaves the machine: an archive that nobody opens by accident, with where it came from beside it.

`sample` is the content, `manifest.json` tells path, owner, mode, times and digests. AES, and the password that all
use for such archives: it keeps scanners and double clicks away, and keeps nothing secret.
"""

import errno
import hashlib
import importlib.util
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO

from quell_agent import files
from quell_agent.before import Inode
from quell_agent.files import Content
from quell_agent.sample import Sample
from quell_executor.effect import RefusedError
from quell_runtime.locked import VaultDamagedError

PASSWORD = b"infected"
LEVEL = 1
"""Of compression: what is asked for is mostly packed already."""


def missing() -> str:
    """Return why no sample can be packed here; empty: it can."""
    return "" if importlib.util.find_spec("pyzipper") else 'pyzipper is missing: install "quell[sample]"'


def pack(
    out: IO[bytes], sample: Sample, about: dict[str, str], say: Callable[[int], None], stop: threading.Event
) -> None:
    """Pack a sample. `about` goes into its manifest; `say` is told how many bytes are packed; `stop` ends it early.

    Raises:
        RefusedError: FILE_CHANGES: it is no longer what was found. VAULT_DAMAGED, NO_SPACE: as they say.

    """
    # It takes 7 MB, which an agent that is asked for no sample does not need.
    import pyzipper  # noqa: PLC0415

    sha256, sha1, size = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), 0
    try:
        with pyzipper.AESZipFile(
            out, "w", compression=pyzipper.ZIP_DEFLATED, compresslevel=LEVEL, encryption=pyzipper.WZ_AES
        ) as archive:
            archive.setpassword(PASSWORD)
            with archive.open("sample", "w", force_zip64=True) as entry:
                for block in sample.blocks():
                    for digest in (sha256, sha1):
                        digest.update(block)
                    entry.write(block)
                    size += len(block)
                    say(size)
                    if stop.is_set():
                        return
            manifest = {**about, **_manifest(sample), "size_bytes": size}
            archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True))
        out.flush()
    except VaultDamagedError:
        raise RefusedError("VAULT_DAMAGED", "what lies in the vault does not open") from None
    except (OSError, ValueError) as error:
        # The archive, left in the middle of an entry, complains of that alone.
        why = error if isinstance(error, OSError) else error.__context__
        if not isinstance(why, OSError) or why.errno != errno.ENOSPC:
            raise
        raise RefusedError("NO_SPACE", "the agent's disk is full", retryable=True) from None
    if Content(sha256.hexdigest(), sha1.hexdigest()) != sample.content:
        raise RefusedError("FILE_CHANGES", "the file changes while it is read", retryable=True)


def _manifest(sample: Sample) -> dict[str, object]:
    digests = {"sha256": sample.content.sha256, "sha1": sample.content.sha1}
    return {"path": files.shown(sample.path), "found": sample.found, **digests, **_of_file(sample.inode)}


def _of_file(inode: Inode | None) -> dict[str, object]:
    if inode is None:
        return {}
    return {
        "owner": {"uid": inode.uid, "gid": inode.gid},
        "mode": f"{inode.mode:04o}",
        "links": inode.links,
        "accessed": _time(inode.accessed),
        "modified": _time(inode.modified),
        "attributes": dict(inode.attributes),
    }


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()
