"""The way from the command line to the services: addresses and certificates of one person."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc

from quell_runtime.client import Credentials, channel
from quell_runtime.errors import InvalidError

S_co = TypeVar("S_co", covariant=True)


class StubFactory(Protocol[S_co]):
    """A generated stub class."""

    def __call__(self, channel: grpc.aio.Channel) -> S_co:
        """Return a stub over a channel."""


class NotSetUpError(InvalidError):
    """There is no deployment to talk to."""

    reason = "NOT_SET_UP"


class ClientInvalidError(InvalidError):
    """The client's configuration can't be used."""

    reason = "CONFIG_INVALID"


@dataclass(frozen=True, slots=True)
class Profile:
    """`client.toml`: where the services are, whom to believe, and where people's certificates lie.

    `others` are certificates there that nobody asks with.
    """

    services: dict[str, str]
    ca: Path
    certificates: Path
    others: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> "Profile":
        """Read it.

        Raises:
            NotSetUpError: It is not there.
            ClientInvalidError: It lacks something.

        """
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotSetUpError(
                f"there is no {path}: name the deployment's folder by --data, before the command"
            ) from None
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ClientInvalidError(f"{path}: {error}") from None
        try:
            places = (Path(found["ca"]), Path(found["certificates"]))
            return cls(dict(found["services"]), *places, frozenset(found.get("others", ())))
        except (KeyError, TypeError) as error:
            raise ClientInvalidError(f"{path} lacks {error}") from None


class Connection:
    """Channels to the services as one person, opened when they are asked for."""

    def __init__(self, profile: Profile, person: str) -> None:
        """Keep who asks."""
        self.profile = profile
        self.person = person
        folder = profile.certificates
        self._credentials = Credentials(profile.ca, folder / f"{person}.crt", folder / f"{person}.key")
        self._channels: dict[str, grpc.aio.Channel] = {}

    @classmethod
    def of(cls, path: Path, person: str) -> "Connection":
        """Return the connection of a person by the profile in a file.

        Raises:
            NotSetUpError: There is no profile, or no certificate of that person.

        """
        profile = Profile.read(path)
        if not (profile.certificates / f"{person}.crt").exists():
            known = sorted(each.stem for each in profile.certificates.glob("*.crt") if each.stem not in profile.others)
            raise NotSetUpError(f"there is no certificate of {person}; there are: {', '.join(known)}")
        return cls(profile, person)

    def stub(self, service: str, factory: StubFactory[S_co]) -> S_co:
        """Return a stub of a service: `actioncenter`, `device` or `email`."""
        if service not in self._channels:
            self._channels[service] = channel(self.profile.services[service], self._credentials)
        return factory(self._channels[service])

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        for each in self._channels.values():
            await each.close()
