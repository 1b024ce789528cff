"""Who asks, and what is asked for under an id."""

import hashlib
from dataclasses import dataclass

from google.protobuf.message import Message

from quell_runtime.errors import NotPermittedError
from quell_runtime.roles import grants


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller whose identity is proven: a person, a program, a detector.

    `name` is the person's, as `people.toml` has it, whichever of their identities called. `via` names the service that
    asks for somebody whose own credential did not come along; then `name` is whom it asks for. `permissions` are
    patterns, as `quell_runtime.roles` writes them; `keys` the person's own (Ed25519 public keys).
    """

    name: str
    permissions: frozenset[str]
    via: str = ""
    keys: frozenset[bytes] = frozenset()

    def may(self, permission: str) -> bool:
        """Tell whether one of the caller's roles grants it: `isolate_device.approve`."""
        return grants(self.permissions, permission)

    def require(self, *permissions: str) -> None:
        """Refuse a caller who holds none of the permissions.

        Raises:
            NotPermittedError: So it is.

        """
        if not any(map(self.may, permissions)):
            wanted = " or ".join(permissions)
            raise NotPermittedError(f"it needs the permission {wanted}", permission=wanted)


def digest(request: Message, *who: str) -> bytes:
    """Return the digest of what was asked for under an id, and by whom."""
    return hashlib.sha256("\n".join(who).encode() + b"\0" + request.SerializeToString(deterministic=True)).digest()
