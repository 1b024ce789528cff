"""What happens in the demo, step by step. Nothing is scripted: each line is what a service or the disk says then."""

import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import click
from quell.actioncenter.v1 import action_pb2
from quell.device.v1 import device_pb2
from quell.remediation.v1 import device_pb2 as device_kinds
from quell.remediation.v1 import evidence_pb2, item_pb2, remediation_pb2, target_pb2, verdict_pb2

from quell_cli import show
from quell_cli.connection import Profile
from quell_cli.demo.center import FINISHED, Center
from quell_cli.demo.clicks import click_on
from quell_cli.demo.narration import Narrator
from quell_cli.demo.sandbox import MAILBOXES, PHISHING_URL, SENDER, SUBJECT, Look, Sandbox, look, messages
from quell_cli.deployment import Folder

MALICIOUS = verdict_pb2.VERDICT_MALICIOUS
SUSPICIOUS = verdict_pb2.VERDICT_SUSPICIOUS
PENDING = action_pb2.ACTION_STATE_PENDING_APPROVAL


class Story:
    """The main job, told once."""

    def __init__(self, center: Center, sandbox: Sandbox, folder: Folder, narrator: Narrator) -> None:
        """Keep the cast, and how files and mail look before anything happens."""
        self._center = center
        self._sandbox = sandbox
        self._folder = folder
        self._narrator = narrator
        self._files = {path: look(path) for path in (sandbox.running, sandbox.copy, sandbox.suspicious)}
        self._mail = self._visible()
        self._investigation = ""
        self._address = Profile.read(folder.config("client")).services["actioncenter"]
        self._device = device_pb2.Device()
        self._told = ""

    async def tell(self) -> None:
        """Tell all of it."""
        self._device = await self._center.device()
        await self._submit(await self._scan())
        await self._by_itself()
        await self._decide()
        await self._complete()
        await self._undo()
        await self._history()

    async def _scan(self) -> list[item_pb2.ItemOutcome]:
        self._narrator.step("A scan finds what a YARA rule knows")
        scan = device_kinds.RunAntivirusScan(
            device=self._device.name, paths=device_kinds.PathScan(paths=[str(self._sandbox.root)]), cpu_percent=100
        )
        remediation = remediation_pb2.Remediation(run_antivirus_scan=scan)
        action = await self._center.ask("ann", remediation, "demo: look into the sandbox")
        ended = await self._center.live(action.name, self._change)
        self._narrator.fact(f"{ended.outcome.scan.scanned_files} files read on {self._device.host_name}")
        found = await self._center.items(action.name)
        for each in found:
            self._narrator.fact(f"found {show.item(each.item)}")
        self._narrator.fact(f"one of them runs as process {self._sandbox.running_pid()}")
        return found

    async def _submit(self, found: Sequence[item_pb2.ItemOutcome]) -> None:
        self._narrator.step("A detection system submits its investigation")
        evidence = list(self._evidence(found))
        for each in evidence:
            self._narrator.fact(f"evidence {each.id}: {show.evidence(each)}")
        name = f"demo-{uuid.uuid4().hex[:8]}"
        investigation = await self._center.submit(name, "Phishing with a dropper", evidence)
        self._investigation = investigation.name
        self._narrator.fact(f"{investigation.name}: {show.investigation_state(investigation)}")

    def _evidence(self, found: Sequence[item_pb2.ItemOutcome]) -> Sequence[evidence_pb2.Evidence]:
        device = self._device.name
        files = [
            evidence_pb2.Evidence(
                id=f"file-{number}",
                verdict=MALICIOUS,
                device=device,
                file=evidence_pb2.FileEvidence(sha256=each.item.finding.file.sha256, path=each.item.finding.file.path),
            )
            for number, each in enumerate(found, 1)
        ]
        image = evidence_pb2.FileEvidence(
            sha256=self._files[self._sandbox.running].sha256, path=str(self._sandbox.running)
        )
        process = evidence_pb2.ProcessEvidence(pid=self._sandbox.running_pid(), image=image)
        odd = evidence_pb2.FileEvidence(
            sha256=self._files[self._sandbox.suspicious].sha256, path=str(self._sandbox.suspicious)
        )
        cluster = target_pb2.MessageCluster(subject=SUBJECT, sender_domain=SENDER.partition("@")[2])
        return [
            *files,
            evidence_pb2.Evidence(id="process", verdict=MALICIOUS, device=device, process=process),
            evidence_pb2.Evidence(id="odd-file", verdict=SUSPICIOUS, device=device, file=odd),
            evidence_pb2.Evidence(id="campaign", verdict=MALICIOUS, cluster=cluster),
            evidence_pb2.Evidence(id="link", verdict=MALICIOUS, url=evidence_pb2.UrlEvidence(url=PHISHING_URL)),
        ]

    async def _by_itself(self) -> None:
        self._narrator.step("Malicious on a device: stopped and quarantined without anybody")
        for action in await self._actions():
            if action.state != PENDING:
                await self._center.live(action.name, self._change)
        gone = [path for path in (self._sandbox.running, self._sandbox.copy) if not path.exists()]
        self._narrator.fact(f"on the disk: {len(gone)} of 2 copies are gone; process: {self._process()}")
        for action in await self._actions():
            if action.state == PENDING:
                self._narrator.fact(f"waits for people: {show.what(action)} {show.target(action.remediation)}")

    async def _decide(self) -> None:
        self._narrator.step("People look at what would happen, and decide")
        for action in await self._actions():
            if action.state != PENDING:
                continue
            preview = await self._center.preview("ann", action.name)
            self._narrator.fact(
                f"{show.what(action)}: {preview.item_count} item(s), digest {preview.preview_digest[:16]}…"
            )
            for item in preview.items:
                self._narrator.fact(f"    {show.item(item)}")
            await self._narrator.pause("bob approves exactly this")
            await self._center.approve("bob", action.name, "demo: as previewed")
            await self._center.live(action.name, self._change)
        visible = self._visible()
        campaign = [name for name in self._mail if name not in visible]
        same = all(visible[name] == self._mail[name] for name in visible)
        self._narrator.fact(f"in the mailboxes: {len(campaign)} messages are gone from {self._mailboxes(campaign)}")
        self._narrator.fact(f"the other {len(visible)} are {'untouched' if same else 'CHANGED'}")
        await self._click()

    async def _complete(self) -> None:
        self._narrator.step("The investigation completes with what came of it")
        found = await self._center.investigation(self._investigation, lambda seen: seen.state >= FINISHED)
        self._narrator.fact(f"{found.name}: {show.investigation_state(found)}")
        self._narrator.fact(show.outcome_of_investigation(found.outcome))

    async def _undo(self) -> None:
        self._narrator.step("Everything is taken back")
        await self._narrator.pause("ann asks to undo every action; what needs a second person, bob approves")
        for action in await self._actions():
            if action.undo_of:
                continue
            undo = await self._center.undo("ann", action.name, "demo: take it back")
            if undo.state == PENDING:
                self._narrator.fact(f"{show.what(undo)} waits: {'; '.join(undo.approval_need.reasons)}")
                await self._center.approve("bob", undo.name, "demo: take it back")
            await self._center.live(undo.name, self._change)
        for path, before in self._files.items():
            same = path.exists() and look(path) == before
            self._narrator.fact(f"{path.name}: bytes, owner, mode, times and attributes {_as_before(same=same)}")
        same = self._visible() == self._mail
        self._narrator.fact(f"mail: folders, flags, keywords, dates and bytes {_as_before(same=same)}")
        await self._click()

    async def _history(self) -> None:
        self._narrator.step("What stays: history, effects in force, the log")
        for action in await self._actions():
            self._narrator.fact(f"{show.short(action.name)} {show.what(action)}: {show.state(action)}")
        self._narrator.fact(f"effects in force: {len(await self._center.effects())}")
        verified = await self._center.verify()
        holds = f"breaks at {verified.broken}" if verified.broken else "holds"
        self._narrator.fact(f"audit log: {verified.checked} entries, the chain {holds}")
        self._next_steps(await self._actions())

    def _next_steps(self, actions: Sequence[action_pb2.Action]) -> None:
        quell = f"{sys.argv[0]} --data {self._folder.root}"
        again = f"`{sys.argv[0]} up --data {self._folder.root}`"
        pki = self._folder.root / "pki"
        click.echo(f"\nTry next, {'while it runs' if self._narrator.pauses else f'while {again} runs it again'}:")
        click.echo(f"  {quell} investigations show {self._investigation}")
        click.echo(f"  {quell} why {show.short(actions[0].name)}")
        click.echo(f"  {quell} audit verify")
        click.echo(
            f"  {Path(sys.executable).with_name('grpcurl')} -max-time 20 -cacert {pki / 'deployment-ca.crt'}"
            f" -cert {pki / 'ann.crt'} -key {pki / 'ann.key'} {self._address}"
            " quell.actioncenter.v1.ActionService/ListActions"
        )
        click.echo(f"Start it again later with {again}; Ctrl-C stops it.")

    async def _actions(self) -> list[action_pb2.Action]:
        return await self._center.of_investigation(self._investigation)

    async def _click(self) -> None:
        begin = time.monotonic()
        answer = await self._center.check_url(PHISHING_URL)
        page = await click_on(self._folder, PHISHING_URL)
        self._narrator.fact(
            f"{PHISHING_URL}: {answer}; a click on it answers {page} ({time.monotonic() - begin:.2f} s)"
        )

    def _change(self, action: action_pb2.Action) -> None:
        done = f": {show.outcome(action.outcome)}" if action.HasField("outcome") else ""
        told = f"{show.short(action.name)} {show.what(action)}: {show.state(action)}{done}"
        # A watch tells of progress, too; what looks the same is no news.
        if told != self._told:
            self._narrator.fact(told)
        self._told = told

    def _process(self) -> str:
        return f"still runs as {self._sandbox.running_pid()}" if self._sandbox.running_pid() else "stopped"

    def _visible(self) -> dict[str, Look]:
        return {
            f"{mailbox}/{name}": seen
            for mailbox in MAILBOXES
            for name, seen in messages(self._sandbox.maildir(mailbox)).items()
        }

    @staticmethod
    def _mailboxes(names: Sequence[str]) -> str:
        return ", ".join(sorted({name.partition("/")[0] for name in names}))


def _as_before(*, same: bool) -> str:
    return "as before" if same else "DIFFER"
