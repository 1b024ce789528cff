"""A life of a process: when it ends, at any point, nothing of it does anything more."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("LIFE", default=None)


class Crash(BaseException):
    """The process is dead: raised at every seam, caught by nobody."""


class Life:
    """From a start to a crash. Tasks belong to the life in whose context they were made."""

    def __init__(self, name: str, passed: Callable[["Life", str], bool]) -> None:
        """Begin; `passed` hears of every point, and tells whether it dies there."""
        self.name = name
        self.alive = True
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self._passed = passed
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._at_end: list[Callable[[], None]] = []

    def check(self) -> None:
        """Let nobody dead pass."""
        if not self.alive:
            raise Crash(self.name)

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        self.check()
        if self._passed(self, name):
            self.end()
            raise Crash(name)

    def end(self) -> None:
        """Die."""
        if not self.alive:
            return
        self.alive = False
        asyncio.get_running_loop().call_soon(self._bury, context=contextvars.Context())

    def _bury(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for act in self._at_end:
            act()
        self.over.set()

    def at_end(self, act: Callable[[], None]) -> None:
        """Have something done when it is over: a closed file, a broken line."""
        self._at_end.append(act)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start something that belongs to this life."""
        context = contextvars.copy_context()
        context.run(LIFE.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Count a task as its own; in a dead one it does nothing any more."""
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        if not self.alive:
            task.get_loop().call_soon(task.cancel)


def tasks_have_lives(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], context: contextvars.Context | None = None
) -> "asyncio.Task[T]":
    """Make tasks for a loop, each of the life that it was made in."""
    task = asyncio.Task(work, loop=loop, context=context)
    life = context.get(LIFE) if context is not None else LIFE.get()
    if life is not None:
        life.adopt(task)
    return task
