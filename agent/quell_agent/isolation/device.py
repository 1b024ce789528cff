"""The isolation of this device: its own network namespace, every other one on it, and the next boot."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import structlog
from quell.remediation.v1 import device_pb2

from quell_agent.isolation import canary, ruleset, tables
from quell_agent.isolation.control import ControlChannel
from quell_agent.isolation.express import Express
from quell_agent.isolation.namespaces import Namespaces, inside
from quell_agent.isolation.nftables import Nftables, NftablesError
from quell_agent.isolation.openings import Opening, of_control, of_order
from quell_agent.isolation.state import Saved, State
from quell_agent.isolation.tables import Made
from quell_runtime.seams import Point, nowhere

log = structlog.get_logger()
OWN = "own"
SHOWN = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look found: whether it is so as asked, in the kernel and for the next boot; or why not.

    `added` is a rule in our tables that is not ours; empty: there is none, as far as can be told.
    """

    so: bool
    why: str = ""
    added: str = ""


class Isolation:
    """The device's network. Every call works on the world at once, and waits; one is made at a time."""

    def __init__(
        self,
        folder: Path,
        control: Callable[[], ControlChannel],
        namespaces: Namespaces | None = None,
        point: Point = nowhere,
        *,
        own: bool = True,
    ) -> None:
        """Keep state in a folder; `control` tells the channel to us as it is now.

        `own`: let nobody else change our tables, where the kernel knows how to. Without it all is as on older kernels.
        """
        self.state = State(folder)
        self.control = control
        self._namespaces = namespaces or Namespaces()
        self._point = point
        self._own = own
        self._lock = threading.Lock()
        self._opened: Nftables | None = None
        self._express = Express()

    def close(self) -> None:
        """Let go of the tables: they stay, but anybody may change them, or take them over."""
        with self._lock:
            if self._opened:
                self._opened.close()
            self._opened = None

    def make(self, saved: Saved | None) -> None:
        """Make an isolation so, or none, whatever was so before.

        Raises:
            NftablesError: The kernel did not take the rules of this namespace.

        """
        with self._using() as nft:
            self.state.forget_made()
            if saved is None:
                self.state.forget()
                self._point("isolation.forgotten")
                self._around(tables.open_)
                tables.open_(nft)
                self._express.let_go()
                self._point("isolation.opened")
                return
            openings = self._openings(saved.order)
            self.state.save(saved, ruleset.at_boot(openings, self._families))
            self._point("isolation.saved")
            made = {OWN: tables.close(nft, openings, self._families, own=self._own, point=self._point)}
            self._point("isolation.closed")
            self._express.hold()
            # Nothing is open in the others: the channel to us does not begin there.
            made |= self._around(lambda other: tables.close(other, (), self._families, own=False))
            self.state.keep_made(made)

    def hold(self) -> None:
        """Keep everybody else from changing our tables, where the kernel knows how to, and off our devices' queues.

        A process that was just started must ask for that anew.
        """
        with self._using() as nft:
            if self.state.saved() is None:
                return
            if self._own and (ours := tables.found(nft)):
                nft.take(ours)
            self._express.hold()

    def look(self, order: device_pb2.IsolateDevice | None) -> Sight:
        """Look whether an isolation is so, or none is: by what the kernel lists, and by trying to get out."""
        with self._using() as nft:
            made = self.state.made()
            here = {OWN: (tables.read(nft), tables.devices())}
            here |= self._around(lambda other: (tables.read(other), tables.devices()))
            added = _added(made, {space: listing for space, (listing, _) in here.items()})
            if order is None:
                gone = self.state.script is None and not any(listing for listing, _ in here.values())
                return Sight(gone, "" if gone else "STILL_ISOLATED", added)
            openings = self._openings(order)
            wanted = {
                space: tables.script(ruleset.NAME, openings if space == OWN else (), devices, self._families)
                for space, (_, devices) in here.items()
            }
            if any(made.get(space) != Made(wanted[space], listing) for space, (listing, _) in here.items()):
                return Sight(so=False, why="RULES_DIFFER", added=added)
            if self.state.script != ruleset.at_boot(openings, self._families):
                return Sight(so=False, why="NOT_AT_BOOT", added=added)
            if canary.gets_out(openings, os.geteuid()):
                return Sight(so=False, why="STILL_GETS_OUT", added=added)
            return Sight(so=True)

    def _openings(self, order: device_pb2.IsolateDevice) -> tuple[Opening, ...]:
        return (*of_control(self.control()), *of_order(order))

    def _around(self, work: Callable[[Nftables], T]) -> dict[str, T]:
        """Do something in every other namespace, and return what came of it where it could be done."""
        done = dict[str, T]()
        for inode, path in self._namespaces.others().items():
            try:
                came = inside(path, lambda: _with_own(work))
            except (NftablesError, OSError) as error:
                log.warning("namespace_not_reached", error=str(error))
                continue
            if came is not None:
                done[str(inode)] = came
        return done

    @cached_property
    def _families(self) -> tuple[str, ...]:
        assert self._opened is not None  # noqa: S101 - only asked for within `_using`
        return tables.families(self._opened)

    @contextmanager
    def _using(self) -> Iterator[Nftables]:
        with self._lock:
            if self._opened is None:
                self._opened = Nftables()
            yield self._opened


def _with_own(work: Callable[[Nftables], T]) -> T:
    # It must not be kept: an open socket keeps a namespace alive, and the devices in it.
    with closing(Nftables()) as nft:
        return work(nft)


def _added(made: Mapping[str, Made], found: Mapping[str, str]) -> str:
    for space, listing in found.items():
        with contextlib.suppress(KeyError):
            if more := tables.rules_of(listing) - tables.rules_of(made[space].listing):
                return " ".join(min(more))[-SHOWN:]
    return ""
