"""However many come at once, no more happen without people than the budgets allow."""

import asyncio
from collections.abc import Callable

from quell.executor.v1 import target_report_pb2

from center_bench import Bench, file
from quell_runtime.sealing import SealKey

LIMIT = 200
POLICY_LIMIT = "quarantine"


def test_budgets_are_never_exceeded(play: Callable[..., None]) -> None:
    """What is over is held with its reason, counted, and not let go by waiting."""

    async def story(bench: Bench) -> None:
        device = bench.device.send_target(SealKey(bytes([9] * 32)), target_report_pb2.TARGET_STATE_CONNECTED)
        await bench.settle()
        submissions = [
            bench.submit(*[file(number * 10 + one, device=device) for one in range(10)], number=str(number))
            for number in range(30)
        ]
        await asyncio.gather(*submissions)
        await bench.settle(3600)
        states = await bench.states()
        assert states.count("HELD") == 300 - LIMIT
        assert len(bench.device.warrants) == LIMIT
        (budget,) = [one for one in await bench.center.controls.list_budgets() if one.name == POLICY_LIMIT]
        assert (budget.limit, budget.used, budget.held) == (LIMIT, 0, 300 - LIMIT)

    play(story)
