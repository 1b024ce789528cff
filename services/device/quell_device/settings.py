"""The configuration of the device service."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from obstore.exceptions import BaseError
from obstore.store import from_url
from pydantic import AfterValidator, Field, FilePath, model_validator

from quell_runtime.config import Address, Hex32, Listener, Peer, Section, ServerTls, Settings


class Dialled(ServerTls):
    """A listener that agents dial. `address` is what they are told to dial, if that is not `listen`."""

    address: Address | None = None

    @model_validator(mode="after")
    def _reachable(self) -> "Dialled":
        unspecified = self.listen.host in {str(ipaddress.IPv4Address(0)), str(ipaddress.IPv6Address(0))}
        if self.address is None and unspecified:
            raise ValueError(f"{self.listen.host} is everywhere and can't be dialled: give `address`, too")
        return self

    @property
    def dialled(self) -> str:
        """What agents dial."""
        return str(self.address or self.listen)


class Agents(Dialled):
    """Where agents connect, and their own authority: it signs their certificates, and is believed nowhere else."""

    ca_certificate: FilePath
    ca_key: FilePath
    certificate_hours: int = Field(default=24, ge=1, le=24 * 90)

    @property
    def listener(self) -> Listener:
        """The listener as the server shell takes it."""
        return Listener(listen=self.listen, certificate=self.certificate, key=self.key, client_ca=self.ca_certificate)

    @property
    def certificate_life(self) -> timedelta:
        """How long an agent's certificate is good for."""
        return timedelta(hours=self.certificate_hours)


def _store(url: str) -> str:
    try:
        if url:
            from_url(url)
    except BaseError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    return url


class ArtifactStore(Section):
    """Where packages and samples lie, for how long, and how much of them.

    `url` is an object store's (`s3://bucket/prefix`); a folder beside the data if empty. An upload that says nothing
    for `idle_s` is ended, and goes on when the agent opens it again.
    """

    url: Annotated[str, AfterValidator(_store)] = ""
    idle_s: float = Field(default=30, gt=0)
    retention_days: int = Field(default=30, ge=1, le=365)
    device_quota_mib: int = Field(default=4096, ge=1)
    quota_mib: int = Field(default=65536, ge=1)


class DeviceSettings(Settings):
    """What the device service needs to know besides."""

    identity_key: FilePath
    """PEM of its Ed25519 key; the Action Center's configuration has its fingerprint."""
    root_key: Hex32
    """The deployment's root public key."""
    key_set: Path | None = None
    """A sealed `KeySet` for devices that come before the Action Center has sent one."""
    action_center: Peer | None = None
    """Who is asked for what people ask for by hand."""
    agents: Agents
    enrolment: Dialled
    artifacts: ArtifactStore = ArtifactStore()
