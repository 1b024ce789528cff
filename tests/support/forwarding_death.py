"""A process that turns Ann's forwarding off, or gives it back, and is killed at the nth point that it passes.

`python forwarding_death.py PATTERN FOLDER WAY N`: homes, pre-images, `do` or `undo`. It prints the points.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from quell.remediation.v1 import email_pb2, item_pb2

from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.maildir.forwards import HomeForwards
from quell_email.store.pre_images import PreImages
from quell_executor.effect import Plan
from quell_executor.progress import Silent

ACTION = "6f1c4f0e-0000-4000-8000-000000000001"


async def main(pattern: str, folder: str, way: str, number: int) -> None:
    """Work until it is killed, or done."""
    passed = 0

    def point(name: str) -> None:
        nonlocal passed
        passed += 1
        print(name, flush=True)  # noqa: T201 - who waits reads it
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    forwards, kept = HomeForwards(pattern, point), PreImages(Path(folder))
    effect = TurnOffExternalForwarding(forwards, kept, {"example.org"}, point=point)
    if way == "do":
        plan = await effect.plan(email_pb2.TurnOffExternalForwarding(mailbox="mailboxes/ann@example.org"), None)
    else:
        # What a lost journal leaves: the marks alone.
        marks = await effect.marks()
        plan = await effect.plan_revert(Plan(tuple(mark.item for mark in marks), frozenset()))
    await effect.apply(replace(plan, action=ACTION), Silent())
    states = {finding.state for finding in await effect.probe(plan)}
    if states != {item_pb2.ITEM_STATE_DONE}:
        raise SystemExit(f"not done: {states}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
