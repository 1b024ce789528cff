"""A look at the world: whether a program that nobody knows starts here, and whether a packaged one does."""

import asyncio
import errno
import secrets
from pathlib import Path

from quell_agent import commands

TRIES = 20
PAUSE = 0.01


async def stranger_starts(folder: Path, like: Path) -> bool:
    """Tell whether a program that was made just now, of a content that no other has, starts.

    Raises:
        OSError: It can't be told: the folder forbids starting anything.
        ProgramLateError: It did not end.

    """
    stranger = folder / f"stranger-{secrets.token_hex(4)}"
    try:
        await asyncio.to_thread(_make, stranger, like)
        return await starts(stranger)
    finally:
        await asyncio.to_thread(stranger.unlink, missing_ok=True)


def _make(stranger: Path, like: Path) -> None:
    stranger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stranger.write_bytes(like.read_bytes() + secrets.token_bytes(16))
    stranger.chmod(0o700)


async def starts(program: Path) -> bool:
    """Tell whether a program that ends at once, and well, starts.

    Raises:
        OSError: It can't, for another reason than a refusal.
        ProgramLateError: It does not end.

    """
    for _ in range(TRIES):
        try:
            return await commands.starts(program)
        except PermissionError as error:
            # Refused by whom the kernel asks. EACCES is another's: a mode, a mount that forbids it.
            if error.errno != errno.EPERM:
                raise
            return False
        except OSError as error:
            # Another thread of ours may have forked while the program was being written.
            if error.errno != errno.ETXTBSY:
                raise
            await asyncio.sleep(PAUSE)
    raise OSError(errno.ETXTBSY, "a program that was written stays busy")
