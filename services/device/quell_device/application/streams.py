"""The agents' streams: one for each device, the newest, and which of them waits for which id to be stored."""

from collections.abc import Iterable

from quell.executor.v1 import executor_service_pb2

from quell_device.application.center import Center
from quell_device.application.session import Replacements, Session
from quell_device.application.uplink import Uplink
from quell_device.domain.errors import AmbiguousError, ReplacedError
from quell_device.domain.records import DeviceRecord
from quell_device.domain.routes import not_seen
from quell_runtime.seams import Clock


class Streams:
    """Streams come and go here."""

    def __init__(self, center: Center, uplink: Uplink, clock: Clock) -> None:
        """Begin with none."""
        self._center = center
        self._uplink = uplink
        self._clock = clock
        self._replacements = Replacements(clock)
        self._unstored: dict[str, Session] = {}
        self.by_device: dict[str, Session] = {}

    def join(self, known: DeviceRecord) -> Session:
        """Let a new stream of a device in, instead of an older one, and tell it what everybody was told.

        Raises:
            AmbiguousError: They replace each other too often.

        """
        self._replacements.check(known.id)
        if older := self.by_device.get(known.id):
            try:
                self._replacements.count(known.id)
            except AmbiguousError as error:
                older.lane.close(error)
                raise
            older.lane.close(ReplacedError("a newer stream of this device was opened"))
            self._forget(older)
        session = self.by_device[known.id] = Session(known.id, self._clock, known.host_name)
        self._tell_words(session)
        return session

    def leave(self, session: Session) -> bool:
        """Forget a stream that has ended; tell whether it was the device's newest."""
        self._forget(session)
        newest = self.by_device.get(session.device) is session
        if newest:
            del self.by_device[session.device]
        return newest

    def begin_anew(self) -> set[str]:
        """Have every agent begin its conversation anew, and so send again all that is not stored.

        Return the devices that will say hello again; a conversation that has just begun is not begun anew.
        """
        self._unstored.clear()
        again = {session.device for session in self.all() if session.greeted}
        for session in self.all():
            session.renew()
            self._tell_words(session)
        return again

    def all(self) -> tuple[Session, ...]:
        """Return every stream."""
        return tuple(self.by_device.values())

    def wait_for(self, ids: Iterable[str], session: Session) -> None:
        """Note who waits for ids to be stored."""
        self._unstored.update(dict.fromkeys(ids, session))

    def stored(self, ids: Iterable[str]) -> None:
        """Tell those who wait for these ids."""
        by_session: dict[Session, list[str]] = {}
        for each in ids:
            if session := self._unstored.pop(each, None):
                by_session.setdefault(session, []).append(each)
        for session, theirs in by_session.items():
            session.stored(theirs)
            session.tell(executor_service_pb2.WorkRequest(stored=executor_service_pb2.Stored(ids=theirs)))

    def _forget(self, session: Session) -> None:
        for each in session.unstored:
            if self._unstored.get(each) is session:
                del self._unstored[each]
        for query in session.queries:
            self._uplink.offer(not_seen(query))
        session.renew()

    def _tell_words(self, session: Session) -> None:
        for word in self._center.words():
            session.greeted = True
            session.tell(word)
