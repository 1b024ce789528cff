"""The configuration of the Action Center."""

from typing import Literal

from pydantic import Field, FilePath, field_validator

from quell_runtime.config import Address, Hex32, Section, Settings


class Executor(Section):
    """An executor that the Action Center dials."""

    plane: Literal["device", "email"]
    address: Address
    identity_key: Hex32
    """SHA-256 of its Ed25519 public key: another key in its hello is refused."""
    server_ca: FilePath
    server_name: str = ""
    """What its certificate must be for, if that is not the address's host."""


class ActionCenterSettings(Settings):
    """What the Action Center needs to know besides."""

    seal_key: FilePath
    """PEM of the Ed25519 key that seals warrants."""
    key_set: FilePath
    """The `KeySet` that lists it, sealed by the root key."""
    policy: FilePath | None = None
    """The policy, YAML; a document that is not in force becomes the next version at start. Without one: our own."""
    executors: tuple[Executor, ...] = Field(default=())

    @field_validator("executors")
    @classmethod
    def _one_a_plane(cls, executors: tuple[Executor, ...]) -> tuple[Executor, ...]:
        planes = [executor.plane for executor in executors]
        if len(set(planes)) < len(planes):
            raise ValueError("one executor a plane")
        return executors
