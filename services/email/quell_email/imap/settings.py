"""How a mail server is reached, and what it may be asked."""

from typing import Literal

from pydantic import Field, FilePath, model_validator

from quell_runtime.config import Address, Section


class MailServer(Section):
    """A server where we log in as a master user on behalf of each mailbox."""

    address: Address
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    """`none` only on loopback: everything is to be read on the way otherwise, the master password too."""
    ca: FilePath | None = None
    """Whom to trust for its certificate; else those whom the machine trusts."""
    master_user: str = Field(min_length=1)
    master_password: FilePath
    """A file with its password; read at each login, so that it can be changed."""
    master_separator: str = Field(default="*", min_length=1)
    """What stands between the mailbox and the master user in a login: `ann@example.org*quell`."""

    @model_validator(mode="after")
    def _private(self) -> "MailServer":
        if self.tls == "none" and not self.address.loopback:
            raise ValueError('tls = "none" is for loopback only')
        return self

    def login(self, mailbox: str) -> str:
        """Return the name by which we log in for a mailbox."""
        return f"{mailbox}{self.master_separator}{self.master_user}"

    def password(self) -> str:
        """Read the password."""
        return self.master_password.read_text().rstrip("\r\n")


class ImapServer(MailServer):
    """The server of the mailboxes. It needs UIDPLUS, MOVE, UNSELECT and LIST-STATUS."""

    mailboxes: FilePath
    """A file with the address of a mailbox on each line, as IMAP can't list them; `#` begins a comment."""
    hidden_namespace: str = Field(default="Recoverable Items", min_length=1)
    """A namespace that the master user's logins have and the users' own do not."""
    max_connections: int = Field(default=8, ge=1, le=1000)
    commands_per_second: float = Field(default=1000, gt=0)
