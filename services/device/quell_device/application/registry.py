"""The devices that were let in, and the tokens that let them in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import seal_pb2

from quell_device.domain.errors import (
    BannedError,
    GoneError,
    NoSuchDeviceError,
    OffboardedError,
    StrangerError,
    TokenRefusedError,
)
from quell_device.domain.records import GONE, DeviceRecord, DeviceState, TokenRecord, WordRecord
from quell_device.store.tables import DEVICES, TOKENS, WORDS
from quell_runtime.sealing import device_id, key_id_of
from quell_runtime.seams import Clock
from quell_runtime.store import Query, Store, View

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A device that shows its identity key and a token. `sealed` holds by that key; `fresh`: it was sealed just now."""

    identity_key: bytes
    token_digest: bytes
    sealed: seal_pb2.Sealed
    fresh: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """How a device is seen now. What is None leaves what is known."""

    connected: bool
    hello: executor_service_pb2.ExecutorHello | None = None
    facts: agent_service_pb2.DeviceFacts | None = None


class Registry:
    """Every use case that changes a device is one transaction."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keep them in a store."""
        self.store = store
        self._clock = clock

    async def add_token(self, digest: bytes, tags: Sequence[str], valid: timedelta) -> TokenRecord:
        """Keep a new token's digest."""
        token = TokenRecord(digest.hex(), tuple(tags), self._clock.now() + valid)
        await self.store.change(lambda view: view.put(TOKENS, token))
        return token

    async def enrol(self, newcomer: Newcomer) -> DeviceRecord:
        """Use the token and let the device in, at once. The same token and key again are answered again.

        A device whose certificate has ended while it was off comes back so: its token is spent for anybody else, and
        after the token's time counts only with a statement that the identity key has sealed just now.

        Raises:
            TokenRefusedError: The token is unknown, expired, or used with another key.
            BannedError, OffboardedError: The key is that of a device that is gone for good.

        """
        now = self._clock.now()
        device = device_id(key_id_of(newcomer.identity_key))
        digest = newcomer.token_digest.hex()

        def decide(view: View) -> DeviceRecord:
            token, known = view.get(TOKENS, digest), view.get(DEVICES, device)
            in_time = token is not None and now < token.expire_time
            returns = token is not None and token.used_by == device and newcomer.fresh
            if token is None or token.used_by not in ("", device) or not (in_time or returns):
                raise TokenRefusedError("the token is unknown, expired, or used by another device: ask for a new one")
            if known is None:
                known = DeviceRecord(device, newcomer.identity_key, newcomer.sealed, token.tags, now, now)
            _let_in(known)
            if not token.used_by:
                view.put(TOKENS, replace(token, used_by=device))
                view.put(DEVICES, replace(known, tags=token.tags))
            return known

        return await self.store.change(decide, [(TOKENS, digest), (DEVICES, device)])

    async def admitted(self, device: str) -> DeviceRecord:
        """Return a device that may speak to us.

        Raises:
            StrangerError: It is not known.
            BannedError, OffboardedError: It is gone for good.

        """
        found = await self.store.load(DEVICES, device)
        if found is None:
            raise StrangerError("the device is not known here: enrol it anew")
        _let_in(found)
        return found

    async def get(self, device: str) -> DeviceRecord:
        """Return a device.

        Raises:
            NoSuchDeviceError: There is none.

        """
        found = await self.store.load(DEVICES, device)
        if found is None:
            raise NoSuchDeviceError(f"no device devices/{device} is enrolled here")
        return found

    async def ban(self, device: str, why: str) -> DeviceRecord:
        """Shut a device out for good. Again, it changes nothing.

        Raises:
            NoSuchDeviceError: There is none.

        """

        def decide(view: View) -> DeviceRecord:
            found = view.get(DEVICES, device)
            if found is None:
                raise NoSuchDeviceError(f"no device devices/{device} is enrolled here")
            if found.state in GONE:
                return found
            banned = replace(found, state=DeviceState.BANNED, ban=why)
            view.put(DEVICES, banned)
            return banned

        return await self.store.change(decide, [(DEVICES, device)], urgent=True)

    async def offboard(self, device: str) -> None:
        """Have a device's key count no more: it left our care, and its receipt for that is stored."""

        def decide(view: View) -> None:
            found = view.get(DEVICES, device)
            if found is not None and found.state not in GONE:
                view.put(DEVICES, replace(found, state=DeviceState.OFFBOARDED))

        await self.store.change(decide, [(DEVICES, device)], urgent=True)

    async def tag(self, device: str, tags: Sequence[str], why: str) -> DeviceRecord:
        """Give a device other tags. The same again changes nothing.

        Raises:
            NoSuchDeviceError: There is none.
            GoneError: It is banned or offboarded.

        """

        def decide(view: View) -> DeviceRecord:
            found = view.get(DEVICES, device)
            if found is None:
                raise NoSuchDeviceError(f"no device devices/{device} is enrolled here")
            if found.state in GONE:
                raise GoneError("the device is banned or offboarded: its tags mean nothing any more")
            tagged = replace(found, tags=tuple(tags))
            if tagged != found:
                view.put(DEVICES, tagged)
                _log.info("device_tagged", device=device, tags=tags, why=why)
            return tagged

        return await self.store.change(decide, [(DEVICES, device)])

    async def seen(self, sights: dict[str, Sight]) -> list[DeviceRecord]:
        """Write down how devices are seen now, and return them. One that is gone stays so."""
        now = self._clock.now()

        def decide(view: View) -> list[DeviceRecord]:
            found = [record for device in sights if (record := view.get(DEVICES, device))]
            after = [_as_seen(record, sights[record.id]) for record in found]
            for index, (old, new) in enumerate(zip(found, after, strict=True)):
                if new != old or new.state is DeviceState.CONNECTED:
                    after[index] = replace(new, last_seen_time=now)
                    view.put(DEVICES, after[index])
            return after

        return await self.store.change(decide, [(DEVICES, device) for device in sights], urgent=True)

    async def begin(self) -> None:
        """Nobody is connected when we start. When each was last seen stays."""
        left = await self.store.select(DEVICES, "WHERE state = ?", (DeviceState.CONNECTED.value,))

        def decide(view: View) -> None:
            for record in left:
                view.put(DEVICES, replace(record, state=DeviceState.AWAY))

        await self.store.change(decide, [(DEVICES, record.id) for record in left])

    async def devices(self) -> list[str]:
        """Return the ids of all."""
        (rows,) = await self.store.read([Query("SELECT id FROM devices ORDER BY id")])
        return [str(device) for (device,) in rows]

    async def word(self, name: str) -> WordRecord | None:
        """Return the newest of the Action Center's words of that name."""
        return await self.store.load(WORDS, name)

    async def keep_word(self, word: WordRecord) -> WordRecord:
        """Keep a word if none with a higher number is kept, and return the one that is. The same may be sealed anew."""

        def decide(view: View) -> WordRecord:
            known = view.get(WORDS, word.name)
            if known is not None and known.number > word.number:
                return known
            view.put(WORDS, word)
            return word

        return await self.store.change(decide, [(WORDS, word.name)], urgent=True)


def _let_in(device: DeviceRecord) -> None:
    if device.state is DeviceState.BANNED:
        raise BannedError("the device is banned: enrol it anew, with a new identity key")
    if device.state is DeviceState.OFFBOARDED:
        raise OffboardedError("the device was offboarded: enrol it anew, with a new identity key")


def _as_seen(record: DeviceRecord, sight: Sight) -> DeviceRecord:
    if record.state in GONE:
        return record
    state = DeviceState.CONNECTED if sight.connected else DeviceState.AWAY
    record = replace(record, state=state, hello=sight.hello or record.hello)
    if sight.facts is None:
        return record
    return replace(record, facts=sight.facts, host_name=sight.facts.host_name, os=sight.facts.os)
