"""Remembering so much, and no more."""

import random
from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def remember(known: dict[K, V], key: K, value: V, most: int) -> None:
    """Put it among what is known; if that is as much as may be, a tenth of it is forgotten first, by chance.

    Mail is gone through in order, again and again: to forget the oldest would forget just what is asked for next, and
    one message too many would have all of them read anew each time. For worker threads.
    """
    if len(known) >= most:
        for stale in random.sample(list(known), max(1, most // 10)):
            known.pop(stale, None)
    known[key] = value
