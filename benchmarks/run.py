"""Measure speed and memory of a whole deployment, each beside its limit in the same run.

Every figure is of this machine at this moment: quote the ratios. `--quick` measures less of everything.
"""

import argparse
import asyncio
import hashlib
import os
import platform
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import endpoint
import fleet
import links
import mail
import minimal
import pending
import psutil
from quell.actioncenter.v1 import action_pb2, action_service_pb2, investigation_pb2, investigation_service_pb2
from quell.remediation.v1 import email_pb2, evidence_pb2, remediation_pb2, verdict_pb2

from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.deployment import DETECTOR, Folder, Ports
from quell_cli.up import running

# Everything malicious in mail happens by itself here, so that the automatic path is measured and no person.
POLICY = {
    "email: {malicious: approval, suspicious: approval}": "email: {malicious: automatic, suspicious: approval}",
    "limit: 500": "limit: 10000000",
}
PORTS = Ports(27443)
AIMS = {"quell_agent": 35, "quell_agent.talker": 60}
"""PSS in MB, of the agent's two processes; of a service it is 120."""
FIRST_STATE_AT_END = action_pb2.ACTION_STATE_SUCCEEDED


def line(what: str, figure: str, limit: str = "", ratio: str = "") -> None:
    """Print one row."""
    print(f"{what:52} {figure:>22} {limit:>26} {ratio:>8}", flush=True)


def machine() -> str:
    """Describe the machine."""
    memory = psutil.virtual_memory().total >> 30
    return (
        f"{os.cpu_count()} cores, {memory} GiB, {platform.machine()}, kernel {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def urls(count: int) -> list[evidence_pb2.Evidence]:
    """Return so much malicious evidence, each a URL of its own."""
    tag = uuid.uuid4().hex[:8]
    return [
        evidence_pb2.Evidence(
            id=f"u{number}",
            verdict=verdict_pb2.VERDICT_MALICIOUS,
            url=evidence_pb2.UrlEvidence(url=f"https://{tag}.bad{number}.example.net/x"),
        )
        for number in range(count)
    ]


class Bench:
    """The calls that are measured."""

    def __init__(self, detector: Connection, ann: Connection, bob: Connection) -> None:
        """Keep who calls."""
        from quell.actioncenter.v1 import action_service_pb2_grpc as actions  # noqa: PLC0415
        from quell.actioncenter.v1 import investigation_service_pb2_grpc as investigations  # noqa: PLC0415

        self._submit = detector.stub("actioncenter", investigations.InvestigationServiceStub)
        self._ann = ann.stub("actioncenter", actions.ActionServiceStub)
        self._bob = bob.stub("actioncenter", actions.ActionServiceStub)

    async def submit(self, evidence: Sequence[evidence_pb2.Evidence], batch: int) -> str:
        """Submit evidence in messages of a batch, and return the investigation's name."""
        request = investigation_service_pb2.SubmitInvestigationRequest(
            investigation_id=uuid.uuid4().hex,
            investigation=investigation_pb2.Investigation(title="benchmark"),
            evidence=evidence[:batch],
        )
        name = (await self._submit.SubmitInvestigation(request, timeout=30)).investigation.name
        more = [
            investigation_service_pb2.AddEvidenceRequest(name=name, evidence=evidence[at : at + batch])
            for at in range(batch, len(evidence), batch)
        ]
        if more:
            await self._submit.AddEvidence(iter(more), timeout=600)
        return name

    async def end_of(self, investigation: str, count: int) -> None:
        """Wait until so many actions of an investigation have succeeded."""
        condition = f'investigation = "{investigation}" AND state = SUCCEEDED'
        while True:
            request = action_service_pb2.ListActionsRequest(filter=condition, page_size=1)
            if (await self._ann.ListActions(request, timeout=30)).total_size >= min(count, 10_000):
                return
            await asyncio.sleep(0.01)

    async def batches(self, count: int) -> float:
        """Return actions a second from submit to stored receipt, in batches of 64."""
        begin = time.perf_counter()
        name = await self.submit(urls(count), 64)
        await self.end_of(name, count)
        return count / (time.perf_counter() - begin)

    async def one_at_a_time(self, count: int) -> float:
        """Return actions a second where each is submitted after the receipt of the one before."""
        fresh = f'state = SUCCEEDED AND create_time >= "{datetime.now(UTC).isoformat()}"'
        watched = self._ann.WatchActions(action_service_pb2.WatchActionsRequest(filter=fresh))
        changes = aiter(watched)
        begin = time.perf_counter()
        for _ in range(count):
            name = await self.submit(urls(1), 1)
            while (await anext(changes)).action.origin.investigation != name:
                pass
        took = time.perf_counter() - begin
        watched.cancel()
        return count / took

    async def approvals(self, count: int) -> list[float]:
        """Return seconds from each approval to the stored receipt of its effect, on an idle system."""
        return [await self._approval() for _ in range(count)]

    async def _approval(self) -> float:
        order = email_pb2.BlockUrl(pattern=f"https://{uuid.uuid4().hex}.example.net/x")
        asked = action_service_pb2.CreateActionRequest(
            action_id=str(uuid.uuid4()), remediation=remediation_pb2.Remediation(block_url=order), comment="benchmark"
        )
        action = (await self._ann.CreateAction(asked, timeout=30)).action
        looked = action_service_pb2.PreviewActionRequest(name=action.name)
        preview = await self._bob.PreviewAction(looked, timeout=30)
        watched = self._bob.WatchActions(action_service_pb2.WatchActionsRequest(filter=f'name = "{action.name}"'))
        changes = aiter(watched)
        await anext(changes)
        vote = action_service_pb2.ApproveActionRequest(
            name=action.name,
            vote_id=str(uuid.uuid4()),
            comment="benchmark",
            preview_digest=hashlib.sha256(preview.preview).hexdigest(),
        )
        begin = time.perf_counter()
        await self._bob.ApproveAction(vote, timeout=30)
        while (await anext(changes)).action.state < FIRST_STATE_AT_END:
            pass
        watched.cancel()
        return time.perf_counter() - begin


def memory(folder: Folder) -> dict[str, float]:
    """Return the proportional set size of each of our processes in MB."""
    found: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        command = process.cmdline()
        module = command[command.index("-m") + 1] if "-m" in command else ""
        if str(folder.root) in " ".join(command) or module == "quell_agent.talker":
            found[module] = process.memory_full_info().pss / 1e6
    return found


async def measure(*, quick: bool) -> None:
    """Measure everything."""
    print(f"{machine()}\n")
    line("what", "figure", "limit in the same run", "ratio")
    scale = 10 if quick else 1
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(Path(root) / "quell")
        deployment.make(folder, PORTS)
        _automatic(folder)
        async with running(folder.root, PORTS, lambda _: None):
            people = [Connection.of(folder.config("client"), who) for who in (DETECTOR, "ann", "bob")]
            try:
                await _speed(Bench(*people), folder, scale)
            finally:
                for each in people:
                    await each.__aexit__(None, None, None)
    rows = 1_000_000 // scale
    line(f"page of 50 pending among {rows:,} actions, p50", f"{1000 * await pending.page(rows):.1f} ms", "aim < 20 ms")
    await _fleet(scale)
    await endpoint.measure(line)
    await links.measure(line, scale)
    await mail.measure(line, scale)


async def _fleet(scale: int) -> None:
    count = 10_000 // scale
    stream, limit, whole = await fleet.idle(count)
    line(f"memory a stream of {count:,} idle agents", f"{stream:.0f} KiB", f"{limit:.0f} KiB", f"{stream / limit:.2f}")
    line("memory of the gateway with them (PSS)", f"{whole:.0f} MB")
    count = 1000 // scale
    took_s, limit_s = await fleet.fan_out(count)
    line(
        f"approval of {count:,} isolations to the last receipt",
        f"{took_s:.2f} s",
        f"{limit_s:.2f} s",
        f"{took_s / limit_s:.2f}",
    )


async def _speed(bench: Bench, folder: Folder, scale: int) -> None:
    for name, pss in memory(folder).items():
        line(f"memory idle (PSS), {name}", f"{pss:.0f} MB", f"aim <= {AIMS.get(name, 120)} MB")
    count = 12_800 // scale
    await bench.batches(640)
    ours, limit = await bench.batches(count), await minimal.actions_per_second(64, count, 1)
    line("actions/s, submit to receipt, batches of 64", f"{ours:.0f}/s", f"{limit:.0f}/s", f"{ours / limit:.2f}")
    ours, limit = await bench.one_at_a_time(200 // scale), await minimal.actions_per_second(1, 400, 1)
    line("actions/s, one at a time", f"{ours:.0f}/s", f"{limit:.0f}/s", f"{ours / limit:.2f}")
    took = sorted(await bench.approvals(200 // scale))
    p99 = took[int(len(took) * 0.99)]
    limit_ms = 1000 / limit
    line(
        "approval to stored receipt, idle, p50 / p99",
        f"{1000 * statistics.median(took):.1f} / {1000 * p99:.1f} ms",
        f"{limit_ms:.1f} ms",
        f"{limit_ms / 1000 / statistics.median(took):.2f}",
    )
    before = memory(folder)["quell_actioncenter"]
    begin = time.perf_counter()
    await bench.submit(urls(10_000 // scale), 500)
    took_s = time.perf_counter() - begin
    grown = memory(folder)["quell_actioncenter"] - before
    line(f"submit of {10_000 // scale:,} evidence items", f"{took_s:.2f} s", "aim < 5 s")
    line("memory that it took at the centre", f"{grown:+.0f} MB", "aim: flat")


def _automatic(folder: Folder) -> None:
    """Have the policy let everything malicious happen by itself, without budgets in the way."""
    text = (files("quell_actioncenter.domain") / "default_policy.yaml").read_text(encoding="utf-8")
    for known, wanted in POLICY.items():
        assert known in text, known  # noqa: S101 - the document is ours
        text = text.replace(known, wanted)
    path = folder.root / "config" / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    config = folder.config("actioncenter")
    config.write_text(f'policy = "{path}"\n{config.read_text(encoding="utf-8")}', encoding="utf-8")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    asyncio.run(measure(quick=parser.parse_args().quick))
    endpoint.restriction(line)


if __name__ == "__main__":
    main()
