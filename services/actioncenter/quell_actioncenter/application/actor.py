"""Who asks."""

from dataclasses import dataclass

from quell_runtime.errors import NotPermittedError
from quell_runtime.roles import grants


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller whose identity is proven: a person, a program, a detector.

    `name` is the person's, as `people.toml` has it, whichever of their identities called. `via` names the service that
    asks for somebody whose own credential did not come along; then `name` is whom it asks for. `permissions` are
    patterns, as `quell_runtime.roles` writes them.
    """

    name: str
    permissions: frozenset[str]
    via: str = ""

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
