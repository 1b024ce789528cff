"""What the Action Center said last to everybody: its hello, the keys, the freeze. Each new stream hears it."""

from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import freeze_pb2, key_set_pb2, seal_pb2

from quell_device.application.registry import Registry
from quell_device.domain.records import WordRecord
from quell_executor.authority import FREEZE, open_by_center
from quell_executor.transport import CenterOutdatedError, DeploymentMismatchError, ProtocolUnsupportedError
from quell_runtime.sealing import key_id_of, open_seal

PROTOCOL = 1


class Center:
    """The newest words; agents check for themselves whose they are."""

    def __init__(self, registry: Registry, deployment: str, root_key: bytes) -> None:
        """Know nothing yet."""
        self._registry = registry
        self._deployment = deployment
        self._root_key = root_key
        self._words: dict[str, WordRecord] = {}

    async def begin(self, key_set: seal_pb2.Sealed | None) -> None:
        """Read what was kept; `key_set` is one that came by hand."""
        for name in ("start", "key_set", "freeze"):
            if word := await self._registry.word(name):
                self._words[name] = word
        if key_set is not None:
            await self.learn_keys(key_set)

    async def greeted(self, hello: executor_service_pb2.CenterHello) -> None:
        """Take a hello.

        Raises:
            ProtocolUnsupportedError, DeploymentMismatchError, CenterOutdatedError: As they say.

        """
        if PROTOCOL not in hello.versions:
            raise ProtocolUnsupportedError(f"version {PROTOCOL} of the protocol is spoken here")
        if hello.deployment != self._deployment:
            raise DeploymentMismatchError(f"this is the device service of {self._deployment}")
        kept = await self._keep(WordRecord("start", hello.start))
        if kept.number > hello.start:
            raise CenterOutdatedError("an Action Center that started later was here")

    async def learn_keys(self, sealed: seal_pb2.Sealed) -> None:
        """Keep a sealed `KeySet` if it is the newest.

        Raises:
            SealInvalidError: The root key did not seal it.

        """
        keys = {key_id_of(self._root_key): self._root_key}
        body = open_seal(sealed, key_set_pb2.KeySet.DESCRIPTOR.full_name, keys.get)
        await self._keep(WordRecord("key_set", key_set_pb2.KeySet.FromString(body).version, sealed))

    async def learn_freeze(self, sealed: seal_pb2.Sealed) -> None:
        """Keep a sealed `Freeze` if it is the newest.

        Raises:
            SealInvalidError: No key of the Action Center sealed it: kept, it would hide those that agents believe.

        """
        known = key_set_pb2.KeySet.FromString(self.key_set.body) if self.key_set else None
        body = open_by_center(sealed, FREEZE, known)
        await self._keep(WordRecord("freeze", freeze_pb2.Freeze.FromString(body).epoch, sealed))

    @property
    def key_set(self) -> seal_pb2.Sealed | None:
        """The newest sealed `KeySet`."""
        return self._words["key_set"].sealed if "key_set" in self._words else None

    def words(self) -> list[executor_service_pb2.WorkRequest]:
        """Return what a new stream is told first; nothing as long as no Action Center was ever here."""
        if "start" not in self._words:
            return []
        start = self._words["start"].number
        hello = executor_service_pb2.CenterHello(versions=[PROTOCOL], deployment=self._deployment, start=start)
        words = [executor_service_pb2.WorkRequest(hello=hello)]
        if self.key_set is not None:
            words.append(executor_service_pb2.WorkRequest(key_set=self.key_set))
        if "freeze" in self._words:
            words.append(executor_service_pb2.WorkRequest(freeze=self._words["freeze"].sealed))
        return words

    async def _keep(self, word: WordRecord) -> WordRecord:
        kept = await self._registry.keep_word(word)
        self._words[word.name] = kept
        return kept
