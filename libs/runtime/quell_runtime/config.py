"""The configuration of a process: a TOML file given by `--config`, and `QUELL_...` in the environment above it.

`QUELL_API__LISTEN` is `listen` of `[api]`. A key that nobody knows is refused and named, wherever it stands.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FilePath,
    StringConstraints,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from quell_runtime import addresses
from quell_runtime.errors import InvalidError

PREFIX = "QUELL_"


class ConfigInvalidError(InvalidError):
    """The configuration can't be used; `field` says where."""

    reason = "CONFIG_INVALID"


def _address(value: object) -> object:
    return addresses.parse(value) if isinstance(value, str) else value


Address = Annotated[addresses.Address, BeforeValidator(_address), NoDecode]


def _loopback(value: addresses.Address) -> addresses.Address:
    if not value.loopback:
        raise ValueError("only loopback: nobody is asked who it is there")
    return value


LoopbackAddress = Annotated[Address, AfterValidator(_loopback)]
Deployment = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,254}$")]
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in hexadecimal digits: a fingerprint, a public key."""


class Section(BaseModel):
    """A table of the file. Subclass it for a service's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ServerTls(Section):
    """A listener that shows who it is, but asks nobody: enrolment only."""

    listen: Address
    certificate: FilePath
    key: FilePath


class Listener(ServerTls):
    """A listener where both sides show who they are."""

    client_ca: FilePath


class Peer(Section):
    """Another of our services, which this one asks, showing the certificate of its own listener."""

    address: Address
    server_ca: FilePath
    server_name: str = ""
    """What its certificate must be for, if that is not the address's host."""


class Loopback(Section):
    """A listener for this machine alone, which asks nobody who it is."""

    listen: LoopbackAddress


class Settings(BaseSettings):
    """What every service needs to know. Subclass it for a service's own keys."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
    )

    deployment: Deployment
    data: Path
    people: FilePath
    api: Listener
    admin: Loopback | None = None
    """Health, by gRPC, for whoever supervises the process."""
    metrics: Loopback | None = None
    """Numbers, by HTTP, for Prometheus."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_s: float = 5.0
    """How long a service that ends says so before it refuses calls, if somebody is connected."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls it by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment above the file, and read nothing else."""
        return env_settings, init_settings


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], path: Path | None) -> S:
    """Read the configuration.

    Raises:
        ConfigInvalidError: There is no such file, or something in it is wrong; the message is one line.

    """
    written = _written(path) if path else {}
    source = path or "the environment"
    if strange := _strange(settings):
        raise ConfigInvalidError(f"the environment: {strange} is unknown; {_allowed(settings, ())}", strange)
    try:
        return settings(**written)
    except ValidationError as error:
        problems = [_problem(settings, each["type"], each["loc"], each["msg"]) for each in error.errors()]
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigInvalidError(f"{source}: {'; '.join(problems)}", field) from None
    except ValueError as error:
        raise ConfigInvalidError(f"{source}: {error}") from None


def _written(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigInvalidError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalidError(f"{path}: {error}") from None


def _strange(settings: type[BaseSettings]) -> str:
    """Return a variable that begins as ours do and is none, or an empty text."""
    known = {PREFIX + name.upper() for name in settings.model_fields}
    ours = (name for name in os.environ if name.startswith(PREFIX))
    return min((name for name in ours if name.split("__", 1)[0].upper() not in known), default="")


def _problem(settings: type[BaseModel], kind: str, place: Sequence[int | str], message: str) -> str:
    where, message = ".".join(map(str, place)), message.removeprefix("Value error, ")
    match kind:
        case "extra_forbidden":
            return f"{where} is unknown; {_allowed(settings, place[:-1])}"
        case "missing":
            return f"{where} is missing"
        case _:
            return f"{where}: {message}".removeprefix(": ")


def _allowed(settings: type[BaseModel], place: Sequence[int | str]) -> str:
    """Say which keys the table at `place` has."""
    fields: Mapping[str, Any] = settings.model_fields
    for step in place:
        if isinstance(step, str) and step in fields:
            fields = _fields_of(fields[step].annotation)
    return f"allowed: {', '.join(sorted(fields))}"


def _fields_of(annotation: object) -> Mapping[str, Any]:
    """Return the fields of the first table that a type has within."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    within = (_fields_of(each) for each in getattr(annotation, "__args__", ()))
    return next((fields for fields in within if fields), {})
