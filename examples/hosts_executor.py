"""A third party's executor: it blocks URLs by their hosts, in a file like /etc/hosts."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import FilePath
from quell.executor.v1 import executor_service_pb2_grpc
from quell.remediation.v1 import email_pb2, failure_pb2, item_pb2

from quell_executor.effect import Finding, Offer, Owned, Plan, PlannedItem, Progress, RefusedError
from quell_executor.executor import JOURNAL, Executor
from quell_executor.service import ExecutorServicer
from quell_executor.settings import Seams, Settings
from quell_runtime import config, pki, program
from quell_runtime.people import People
from quell_runtime.server import API, Server, serving
from quell_runtime.store.opening import opened


@dataclass(frozen=True)
class BlockUrl:
    """Blocks a host by one line; what stood there for it before is what undo brings back."""

    hosts: Path

    async def plan(self, order: email_pb2.BlockUrl, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Resolve the host."""
        if any(sign in order.pattern for sign in "/*:"):
            raise RefusedError("TARGET_REFUSED", "only whole hosts, without scheme and path, can be blocked here")
        key, item = f"email.url:{order.pattern}", item_pb2.Item(url=item_pb2.UrlItem(pattern=order.pattern))
        return Plan((PlannedItem(key, item, self._line(order.pattern).encode()),), frozenset({key}))

    async def apply(self, plan: Plan, _progress: Progress) -> None:
        """Write the lines that are to be written."""
        for planned, finding in zip(plan.items, await self.probe(plan), strict=True):
            if finding.state == item_pb2.ITEM_STATE_PLANNED:
                host = planned.item.url.pattern
                self._write(host, planned.before.decode() if plan.reverts else f"0.0.0.0 {host}")

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Read the file."""
        return [self._look(item.item.url.pattern, item.before.decode(), plan) for item in plan.items]

    def _look(self, host: str, before: str, plan: Plan) -> Finding:
        now, blocked = self._line(host), f"0.0.0.0 {host}"
        if plan.reverts and now not in (before, blocked):
            return Finding(item_pb2.ITEM_STATE_CONFLICT, failure_pb2.Failure(reason="LINE_CHANGED"))
        done = now == (before if plan.reverts else blocked)
        return Finding(item_pb2.ITEM_STATE_DONE if done else item_pb2.ITEM_STATE_PLANNED)

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back."""
        return replace(plan, reverts=True)

    def _line(self, host: str) -> str:
        return next((line for line in self.hosts.read_text().splitlines() if line.split()[1:2] == [host]), "")

    def _write(self, host: str, line: str) -> None:
        others = [old for old in self.hosts.read_text().splitlines() if old.split()[1:2] != [host]]
        with self.hosts.with_suffix(".new").open("w") as new:
            new.write("".join(f"{each}\n" for each in [*others, line] if each))
            os.fsync(new.fileno())
        self.hosts.with_suffix(".new").replace(self.hosts)


class UnblockUrl:
    """Lets go of what was blocked."""

    def names(self, order: email_pb2.UnblockUrl) -> frozenset[str]:
        """Return what is named."""
        return frozenset({f"email.url:{order.pattern}"})

    def chooses(self, order: email_pb2.UnblockUrl, owned: Owned) -> bool:
        """Tell whether it means this host."""
        return owned.item.url.pattern == order.pattern


class HostsSettings(config.Settings):
    """What it needs to know besides what every service does: the file, its key, the deployment's root public key."""

    hosts: FilePath
    identity_key: FilePath
    root_key: config.Hex32


async def serve(found: HostsSettings, stop: asyncio.Event) -> None:
    """Serve until told to stop."""
    people, settings = People(found.people), Settings(found.deployment, bytes.fromhex(found.root_key))
    offers: dict[str, Offer] = {"block_url": BlockUrl(found.hosts), "unblock_url": UnblockUrl()}
    async with opened(found.data, JOURNAL, name="journal") as journal:
        executor = Executor(settings, pki.load_seal_key(found.identity_key), offers, journal, Seams())
        await executor.start()
        api = Server(found.api, API, found.deployment, people)
        api.add(executor_service_pb2_grpc.add_ExecutorServiceServicer_to_server, ExecutorServicer(executor))
        async with serving(found, people, api):
            await stop.wait()
        await executor.stop()


if __name__ == "__main__":
    sys.exit(program.run("hosts-executor", partial(config.load, HostsSettings), serve))
