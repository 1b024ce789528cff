"""Everybody who may look at a policy may try a document: none costs more than a moment, in which nobody is served."""

import time
from collections.abc import Callable

import pytest

from quell_actioncenter.domain.errors import PolicyInvalidError
from quell_actioncenter.domain.policy_yaml import default_document, read_policy

MOMENT_S = 2.0
"""Of processor time; what is tried here took from ten seconds to hours."""
LARGEST = 1 << 20
BOMBS: dict[str, Callable[[], str]] = {
    "numbers of base 60": lambda: "a: 1" + ":1" * (LARGEST // 2 - 2),
    "a number of a million places": lambda: "a: " + "9" * (LARGEST - 3),
    "keys without end": lambda: "".join(f"k{number:06}: 1\n" for number in range(LARGEST // 11)),
    "mistakes without end": lambda: default_document() + "".join(f"k{number}: 1\n" for number in range(8000)),
    "a key again and again": lambda: "k: 1\n" * (LARGEST // 5),
    "a list without end": lambda: f"a: [{'1,' * (LARGEST // 2 - 3)}]",
    "lists in lists": lambda: "[" * LARGEST,
    "laughs": lambda: (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join(9 * [f'*{old}'])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        )
    ),
    "a tag that makes things": lambda: "a: !!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_policy_bomb_is_refused_in_a_moment(bomb: str) -> None:
    """It is called a policy with mistakes, in a message of bounded length."""
    document = BOMBS[bomb]()
    begin = time.process_time()
    with pytest.raises(PolicyInvalidError) as refusal:
        read_policy(document)
    assert time.process_time() - begin < MOMENT_S
    assert len(refusal.value.message) < 20_000
