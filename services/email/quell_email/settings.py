"""The configuration of the email service."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, FilePath, IPvAnyNetwork, StringConstraints, model_validator

from quell_email.domain.belonging import domain_of
from quell_email.domain.exclusions import Exclusions, Simulation
from quell_email.imap.managesieve import SieveServer
from quell_email.imap.settings import ImapServer
from quell_email.store.clicks import Keep
from quell_executor.quorum import quorums_of
from quell_runtime.config import Address, Hex32, Loopback, Peer, Section, Settings
from quell_runtime.errors import InvalidError

KEY_BYTES = 32


def _pattern(value: str) -> str:
    if not value.startswith("/") or value.count("{address}") != 1:
        raise ValueError("an absolute path with {address} in it once is needed, as in /var/mail/{address}/Maildir")
    if ".." in value.split("/") or value.endswith("/"):
        raise ValueError("it must not hold .. nor end with /")
    return value


def _secret(path: Path) -> Path:
    if len(path.read_bytes()) < KEY_BYTES:
        raise ValueError(f"it must hold {KEY_BYTES} bytes or more")
    return path


class SimulationSettings(Section):
    """A sender of simulated phishing."""

    sender: Annotated[str, StringConstraints(pattern=r"^[^@\s]*@?[^@\s]+[.][^@\s]+$", to_lower=True)]
    """An address, or a domain with all below it."""
    networks: list[IPvAnyNetwork] = Field(min_length=1)
    """Where its mail comes from: a From alone proves nothing."""


class ExclusionSettings(Section):
    """Whom nothing is taken from."""

    mailboxes: list[str] = Field(default_factory=list)
    """Addresses of the security team's own mailboxes."""
    simulations: list[SimulationSettings] = Field(default_factory=list)

    @property
    def all(self) -> Exclusions:
        """Return them as the effects take them."""
        simulations = (Simulation(one.sender, tuple(one.networks)) for one in self.simulations)
        return Exclusions(frozenset(map(str.casefold, self.mailboxes)), tuple(simulations))


class ClickSettings(Loopback):
    """The click endpoint."""

    keep: Keep = Keep.COUNTS
    """What is kept of clicks: nothing (`off`), how often each entry has held (`counts`), each click with a pseudonym of
    whose link it was (`hashed`), or with the address (`full`)."""
    keep_days: int = Field(default=30, ge=1, le=3650)
    """Days for which clicks are kept."""
    fails_open: bool = False
    """Where the check itself fails: lead on who clicked, unchecked. Else nobody is led on."""
    connections: int = Field(default=1000, ge=1, le=20_000)
    """How many connections are served at once."""


class ProbeSettings(Section):
    """A message that is sent now and then, to see on its delivery whether the filter works."""

    mailbox: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", to_lower=True)]
    """A mailbox of its own: what is found there by its subject is deleted."""
    smtp: Address
    """Where the mail server takes mail."""
    every_s: float = Field(default=300, ge=1)
    """How often."""
    wait_s: float = Field(default=60, ge=1)
    """How long it may take to be delivered."""


class MilterSettings(Loopback):
    """The filter in the mail server."""

    base: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]
    """Where users reach the click endpoint: `https://click.example.org`."""
    hold: bool = False
    """Have the server hold mail with a link that is blocked when it comes."""
    connections: int = Field(default=100, ge=1, le=10_000)
    """How many connections of mail servers are served at once."""
    readers: int = Field(default=1, ge=1, le=32)
    """How many messages are read at once, each in a process of its own."""
    probe: ProbeSettings | None = None
    """Without it nobody notices that mail goes by without the filter."""


class EmailSettings(Settings):
    """What the email service needs to know besides."""

    identity_key: FilePath
    """PEM of its Ed25519 key; the Action Center's configuration has its fingerprint."""
    root_key: Hex32
    """The deployment's root public key."""
    maildirs: Annotated[str, AfterValidator(_pattern)] | None = None
    """Where mailboxes are: a path with `{address}`."""
    imap: ImapServer | None = None
    """The server of the mailboxes, where they are out of reach; exactly one of the two is needed."""
    retention_days: int = Field(default=44, ge=1, le=3650)
    """Days for which taken messages are kept; then they are purged, and can't be put back."""
    vault_key: Annotated[FilePath, AfterValidator(_secret)]
    """A file of 32 bytes or more that locks what is in quarantine: who loses it needs the deployment's recovery key."""
    quarantine_days: int = Field(default=30, ge=1, le=3650)
    """Days for which messages and attachments are kept in quarantine, where an order does not say until when."""
    exclusions: ExclusionSettings = Field(default_factory=ExclusionSettings)
    domains: list[Annotated[str, AfterValidator(domain_of)]] = Field(default_factory=list)
    """The organisation's own mail domains, each without what is under it; mail sent on to others is sent outside."""
    homes: Annotated[str, AfterValidator(_pattern)] | None = None
    """Where users' homes are, with their Sieve scripts and `.forward`: a path with `{address}`."""
    managesieve: SieveServer | None = None
    """The server of Sieve scripts, where homes are out of reach."""
    click: ClickSettings | None = None
    """Where clicks are served, by HTTP; a proxy with TLS stands before it."""
    link_key: Annotated[FilePath, AfterValidator(_secret)] | None = None
    """A file of 32 bytes or more that sign the links to the click endpoint."""
    milter: MilterSettings | None = None
    """Where Postfix has mail filtered: links are signed at delivery."""

    action_center: Peer | None = None
    """Who is asked for what people ask for by hand."""
    quorums: dict[str, int] = Field(default_factory=dict)
    """By kind, how many of the approvers must have sealed what is carried out; no server can lower it."""
    approvers: dict[str, list[str]] = Field(default_factory=dict)
    """People whose own keys count for that: Ed25519 public keys by name, as people.toml has them."""

    @model_validator(mode="after")
    def _somewhere(self) -> "EmailSettings":
        if (self.maildirs is None) == (self.imap is None):
            raise ValueError("mailboxes are behind maildirs or behind [imap]: exactly one of the two is needed")
        return self

    @model_validator(mode="after")
    def _attainable(self) -> "EmailSettings":
        try:
            quorums_of(self.quorums, self.approvers)
        except InvalidError as error:
            raise ValueError(error.message) from None
        return self

    @model_validator(mode="after")
    def _forwarding(self) -> "EmailSettings":
        if self.homes and self.managesieve:
            raise ValueError("homes and [managesieve] are two ways to the same scripts: choose one")
        if (self.homes or self.managesieve) and not self.domains:
            raise ValueError("domains is needed: who forwards outside can't be told without it")
        return self

    @model_validator(mode="after")
    def _signed(self) -> "EmailSettings":
        if self.click and not self.link_key:
            raise ValueError("[click] needs link_key: unsigned links would serve every phisher")
        if self.milter and not self.link_key:
            raise ValueError("[milter] needs link_key: links are signed with it")
        return self
