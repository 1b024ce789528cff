"""What the documentation promises, read from its tables, so that tests can hold the code against it."""

from collections.abc import Iterator
from pathlib import Path

from quell_actioncenter.domain.lifecycle import Event, State

DOCS = Path(__file__).parents[2] / "docs"


def tables(page: str) -> Iterator[list[dict[str, str]]]:
    """Yield every table of a page as its rows, each by the names of the columns."""
    block: list[list[str]] = []
    for line in [*(DOCS / page).read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif block:
            header, _, *rows = block
            yield [dict(zip(header, row, strict=True)) for row in rows]
            block = []


def promised_transitions(page: str) -> dict[tuple[State, Event], State]:
    """Return which event leads where, as the tables with the columns `from`, `event` and `to` say.

    A table with the columns `word` and `states` gives words for several states; `(none)` is before birth, and `stays`
    is where it was. A pair that is promised twice is a mistake of the page.
    """
    words, promised = {"(none)": "NONE"}, {}
    for table in tables(page):
        words |= {row["word"]: row["states"] for row in table if "word" in row}
        for row in table:
            for state, event in _pairs(row, words):
                assert (state, event) not in promised, f"{event} from {state.name} is promised twice"
                promised[state, event] = state if row["to"] == "stays" else State[row["to"]]
    return promised


def _pairs(row: dict[str, str], words: dict[str, str]) -> Iterator[tuple[State, Event]]:
    if "from" in row:
        for word in row["from"].split(", "):
            for name in words.get(word, word).split(", "):
                for event in row["event"].split(", "):
                    yield State[name], Event(event)
