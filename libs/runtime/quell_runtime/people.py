"""The people of a deployment: who is behind which identities, and what each may do (`people.toml`).

    [people.ann]
    identities = ["spiffe://example/operator/ann", "spiffe://example/operator/ann-laptop"]
    roles = ["responder", "approver"]
    permissions = ["isolate_device.create"]     # optional: single rights beside the roles
    keys = ["5f1c..."]      # optional: own keys (Ed25519 public keys, hex or base64) that seal approvals and tokens

One person behind several identities is one person, so that nobody votes twice.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from quell_runtime import identity, own_keys, roles
from quell_runtime.errors import InvalidError, QuellError

_log = structlog.get_logger()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEYS = {"identities", "roles", "permissions", "keys"}


class PeopleInvalidError(InvalidError):
    """`people.toml` can't be used."""

    reason = "PEOPLE_INVALID"


@dataclass(frozen=True, slots=True)
class Person:
    """One person, by whatever identity."""

    name: str
    identities: frozenset[str]
    roles: frozenset[str]
    permissions: frozenset[str]
    keys: frozenset[bytes] = frozenset()
    """Own keys: Ed25519 public keys, 32 bytes each."""

    def may(self, permission: str) -> bool:
        """Tell whether a role or a right of its own gives the permission."""
        return roles.grants(self.rights, permission)

    @property
    def rights(self) -> frozenset[str]:
        """All that it may, as patterns: that of its roles, and its own."""
        return self.permissions.union(*(roles.ROLES[role] for role in self.roles))


def read(text: str) -> Mapping[str, Person]:
    """Read `people.toml` and return people by identity.

    Raises:
        PeopleInvalidError: It can't be used; `field` says where.

    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PeopleInvalidError(f"not TOML: {error}") from None
    if unknown := found.keys() - {"people"}:
        raise PeopleInvalidError(f"unknown key {min(unknown)}; allowed: people", min(unknown))
    by_identity: dict[str, Person] = {}
    for name, entry in found.get("people", {}).items():
        person = _person(name, entry)
        for each in person.identities:
            if each in by_identity:
                raise PeopleInvalidError(f"{each} is also {by_identity[each].name}'s", f"people.{name}.identities")
            by_identity[each] = person
    _check_keys(sorted({person.name: person for person in by_identity.values()}.values(), key=lambda one: one.name))
    return by_identity


def _check_keys(people: Sequence[Person]) -> None:
    """Refuse a key that is two people's: it would be one person with two voices."""
    owner: dict[bytes, str] = {}
    for person in people:
        for key in person.keys:
            if (other := owner.setdefault(key, person.name)) != person.name:
                raise PeopleInvalidError(f"{key.hex()} is also {other}'s", f"people.{person.name}.keys")


def _person(name: str, entry: object) -> Person:
    where = f"people.{name}"
    if not _NAME.fullmatch(name):
        raise PeopleInvalidError("a person's name is letters, digits, dots, dashes and underscores", where)
    if not isinstance(entry, dict):
        raise PeopleInvalidError(f"a table is needed: [people.{name}]", where)
    if unknown := entry.keys() - _KEYS:
        raise PeopleInvalidError(f"unknown key {min(unknown)}; allowed: {', '.join(sorted(_KEYS))}", where)
    identities = _texts(entry, "identities", where)
    for each in identities:
        try:
            identity.parse(each)
        except QuellError as error:
            raise PeopleInvalidError(f"{each}: {error.message}", f"{where}.identities") from None
    held = _texts(entry, "roles", where)
    if strange := held - roles.ROLES.keys():
        raise PeopleInvalidError(f"unknown role {min(strange)}; there are: {', '.join(roles.ROLES)}", f"{where}.roles")
    rights = _texts(entry, "permissions", where)
    if strange := rights - roles.grantable():
        raise PeopleInvalidError(f"unknown permission {min(strange)}", f"{where}.permissions")
    try:
        keys = frozenset(map(own_keys.public_key, _texts(entry, "keys", where)))
    except InvalidError as error:
        raise PeopleInvalidError(error.message, f"{where}.keys") from None
    return Person(name, identities, held, rights, keys)


def _texts(entry: Mapping[str, Any], key: str, where: str) -> frozenset[str]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise PeopleInvalidError("a list of texts is needed", f"{where}.{key}")
    return frozenset(found)


class People:
    """The people of a file, read again when it changes. What can't be read leaves those that were known."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            PeopleInvalidError: It can't be used.

        """
        self._path = path
        self._seen = self._look()
        try:
            self._by_identity = read(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PeopleInvalidError(f"{path} can't be read: {error}") from None
        except PeopleInvalidError as error:
            raise PeopleInvalidError(f"{path}: {error.field}: {error.message}", error.field) from None

    def of(self, who: identity.Identity) -> Person | None:
        """Return the person behind an identity, or None if nobody is known by it."""
        self._refresh()
        return self._by_identity.get(str(who))

    def named(self, name: str) -> Person | None:
        """Return the person of a name, if an identity is known for it."""
        self._refresh()
        return next((person for person in self._by_identity.values() if person.name == name), None)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _refresh(self) -> None:
        now = self._look()
        if now == self._seen:
            return
        self._seen = now
        try:
            self._by_identity = read(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, PeopleInvalidError) as error:
            _log.error("people_unreadable", path=str(self._path), error=str(error))
            return
        _log.info("people_read", people=len({person.name for person in self._by_identity.values()}))


_person_of_call: ContextVar[Person | None] = ContextVar("person", default=None)


def person() -> Person | None:
    """Return the person who calls the RPC that is being answered; None if the caller is no person."""
    return _person_of_call.get()


def answering(who: Person | None) -> None:
    """Note which person calls, for the rest of this task."""
    _person_of_call.set(who)
