"""The configuration of the agent: a small TOML file, and `QUELL_...` in the environment above it.

It needs nothing but the base of the distribution, so it is read without the libraries of the services.
"""

import contextlib
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from quell_executor.quorum import Quorum, quorums_of
from quell_runtime.errors import InvalidError
from quell_runtime.kinds import kinds

CAPS: Mapping[str, int] = {
    "isolate_device": 20,
    "restrict_code_execution": 20,
    "stop_and_quarantine": 200,
    "offboard_machine": 2,
}
"""How many effects of a kind the agent begins in an hour, unless it is told otherwise. What lets go has no cap."""
Network = IPv4Network | IPv6Network
MEMORY_MB, LEAST_MEMORY_MB = 2048, 256


class ConfigInvalidError(InvalidError):
    """The configuration can't be used; the message is one line and names the key."""

    reason = "CONFIG_INVALID"


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent needs to know. All else it learns when it enrols.

    `data` is its own folder; `token` an enrolment token or a file with one, for the first start only; `rules` a folder
    of YARA rules; `max_effects_per_hour` its own caps by kind, which no server can lift; `quorums` how many of the
    `approvers` must have sealed what is carried out, by kind: it holds who they are and their own public keys;
    `unguarded` what starts while execution is restricted and no guard lives: all (`open`) or nothing (`closed`);
    `memory_mb` the most memory that each of its processes may take, in MiB; `gateway_networks` where the gateway's
    addresses can be, none: anywhere.
    """

    data: Path
    token: str = ""
    rules: Path | None = None
    log_level: str = "info"
    unguarded: str = "open"
    memory_mb: int = MEMORY_MB
    gateway_networks: Sequence[Network] = ()
    max_effects_per_hour: Mapping[str, int] = field(default_factory=lambda: CAPS)
    quorums: Mapping[str, Quorum] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> "AgentSettings":
        """Read the file, if there is one, and the environment.

        Raises:
            ConfigInvalidError: A key is unknown, missing, or has a value that it can't have.

        """
        written = _written(path) if path else {}
        known = [*(each.name for each in fields(cls)), "approvers"]
        if strange := sorted(written.keys() - set(known)):
            raise ConfigInvalidError(f"{path}: {strange[0]} is unknown; allowed: {', '.join(known)}", strange[0])
        for name in known:
            if (value := os.environ.get(f"QUELL_{name.upper()}")) is not None:
                written[name] = value
        if not isinstance(written.get("data"), str):
            raise ConfigInvalidError(f"{path or 'the environment'}: data is missing: the agent's own folder", "data")
        for name in ("token", "rules", "log_level"):
            if not isinstance(written.get(name, ""), str):
                raise ConfigInvalidError(f"{path}: {name} must be a text", name)
        if written.get("unguarded", "open") not in ("open", "closed"):
            raise ConfigInvalidError(f"{path}: unguarded must be open or closed", "unguarded")
        _check_closed(Path(str(written["data"])))
        # Absolute: what the agent starts stands elsewhere.
        rules = Path(str(written["rules"])).absolute() if written.get("rules") else None
        return cls(
            data=Path(str(written["data"])).absolute(),
            token=str(written.get("token", "")),
            rules=rules,
            log_level=str(written.get("log_level", "info")),
            unguarded=str(written.get("unguarded", "open")),
            memory_mb=_memory(written.get("memory_mb", MEMORY_MB)),
            gateway_networks=_networks(written.get("gateway_networks", [])),
            max_effects_per_hour=_caps(written.get("max_effects_per_hour", {})),
            quorums=_quorums(written.get("quorums", {}), written.get("approvers", {})),
        )

    def read_token(self) -> str:
        """Return the enrolment token, from the file if a file is named.

        Raises:
            ConfigInvalidError: There is none.

        """
        path = Path(self.token)
        if self.token.startswith("/") and path.is_file():
            return path.read_text(encoding="utf-8").strip()
        if not self.token or self.token.startswith("/"):
            raise ConfigInvalidError("token is missing: `quell devices enrol-token` makes one", "token")
        return self.token


def _written(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigInvalidError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalidError(f"{path}: {error}") from None


def _check_closed(data: Path) -> None:
    """See that nobody else can put own things where this agent, often root, believes to find its own."""
    with contextlib.suppress(FileNotFoundError):
        status = data.stat()
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigInvalidError(f"{data}: others can write there: data is the agent's own folder", "data")


def _caps(found: object) -> Mapping[str, int]:
    if not isinstance(found, dict):
        raise ConfigInvalidError("max_effects_per_hour must be a table from kind to number", "max_effects_per_hour")
    for kind, most in found.items():
        if kind not in kinds() or not isinstance(most, int) or most < 0:
            raise ConfigInvalidError(f"max_effects_per_hour.{kind}: a kind and a number from 0", "max_effects_per_hour")
    return {**CAPS, **found}


def _memory(found: object) -> int:
    if not str(found).isdecimal() or int(str(found)) < LEAST_MEMORY_MB:
        raise ConfigInvalidError(f"memory_mb must be a number of MiB, from {LEAST_MEMORY_MB} on", "memory_mb")
    return int(str(found))


def _networks(found: object) -> Sequence[Network]:
    texts = found.split(",") if isinstance(found, str) else found
    try:
        if isinstance(texts, list):
            return tuple(map(ip_network, map(str, texts)))
    except ValueError:
        pass
    raise ConfigInvalidError('gateway_networks is a list of networks, as ["192.0.2.0/28"]', "gateway_networks")


def _quorums(needed: object, approvers: object) -> Mapping[str, Quorum]:
    counts = isinstance(needed, dict) and all(isinstance(count, int) for count in needed.values())
    lists = isinstance(approvers, dict) and all(isinstance(keys, list) for keys in approvers.values())
    if not (isinstance(needed, dict) and isinstance(approvers, dict) and counts and lists):
        raise ConfigInvalidError("quorums is a table from kind to number, approvers from name to keys", "quorums")
    try:
        return quorums_of(needed, {name: map(str, keys) for name, keys in approvers.items()})
    except InvalidError as error:
        raise ConfigInvalidError(error.message, "quorums") from None
