"""How a process gives up every right that it has, for good."""

import ctypes
import os
import resource
import signal

NO_NEW_PRIVILEGES = 38
DIE_WITH_PARENT = 1
DROP_FROM_BOUNDING_SET = 24
DUMPABLE = 4
DATA_BYTES = 256 << 20
DESCRIPTORS = 256


def confine(user: int) -> None:
    """Become a user without any right, and take no more than this process needs.

    Raises:
        OSError: The kernel does not let it; the process must end then.

    """
    for limit, most in ((resource.RLIMIT_DATA, DATA_BYTES), (resource.RLIMIT_NOFILE, DESCRIPTORS)):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901 - never more than it was
        resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.geteuid() == 0:
        _become(user)
    _prctl(NO_NEW_PRIVILEGES, 1)
    # Of another of its user's processes, too, nobody reads its memory.
    _prctl(DUMPABLE, 0)
    _prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _become(user: int) -> None:
    for capability in range(64):
        try:
            _prctl(DROP_FROM_BOUNDING_SET, capability)
        except OSError:
            break  # the kernel has no more
    os.setgroups([])
    os.setresgid(user, user, user)
    # From root to another user, the kernel empties every other set of capabilities.
    os.setresuid(user, user, user)


def _prctl(what: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(what, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
