"""What is known of targets, as the pure policy wants it: read in the transaction that decides by it."""

from collections.abc import Iterable
from dataclasses import replace

from quell.executor.v1 import target_report_pb2
from quell.remediation.v1 import evidence_pb2, remediation_pb2

from quell_actioncenter.application.desk import Place
from quell_actioncenter.domain.records import TargetRecord
from quell_actioncenter.domain.targets import Device, Facts, device_seen
from quell_actioncenter.store.tables import EXECUTORS, HOSTS, TARGETS
from quell_runtime.kinds import device_of, kinds
from quell_runtime.store import View

GONE = (target_report_pb2.TARGET_STATE_BANNED, target_report_pb2.TARGET_STATE_OFFBOARDED)
DEVICE_PLANE = "device"


def places(evidence: Iterable[evidence_pb2.Evidence]) -> list[Place]:
    """Return what `of_evidence` is known to look at."""
    evidence = tuple(evidence)
    return [
        *((HOSTS, host) for host in {one.host_name.lower() for one in evidence} - {""}),
        *((TARGETS, device) for device in {one.device for one in evidence} - {""}),
        *((EXECUTORS, plane) for plane in _planes()),
    ]


def _planes() -> set[str]:
    return {kind.plane for kind in kinds().values()} - {DEVICE_PLANE}


def of_devices(view: View, names: set[str]) -> Facts:
    """Return what is known of these devices."""
    return _facts(view, names, ())


def of_request(view: View, remediation: remediation_pb2.Remediation) -> Facts:
    """Return what a request by hand is judged by."""
    return of_devices(view, {device_of(remediation)} - {""})


def of_evidence(view: View, evidence: Iterable[evidence_pb2.Evidence], seen_on: tuple[str, ...]) -> Facts:
    """Return what evidence is judged by; `seen_on` are the devices of its investigation, as known so far."""
    evidence = tuple(evidence)
    hosts = {one.host_name.lower() for one in evidence if one.host_name}
    view.expect((HOSTS, host) for host in hosts)
    claimed = {host: row.devices for host in hosts if (row := view.get(HOSTS, host))}
    names = {one.device for one in evidence} | {device for devices in claimed.values() for device in devices}
    facts = _facts(view, (names | set(map(device_seen, seen_on))) - {""}, seen_on)
    # Who is banned or offboarded is no longer enrolled, and claims nothing.
    claims = {host: tuple(one for one in devices if one in facts.devices) for host, devices in claimed.items()}
    return replace(facts, claims=claims)


def _facts(view: View, names: set[str], seen_on: tuple[str, ...]) -> Facts:
    planes = _planes()
    view.expect([*((TARGETS, name) for name in names), *((EXECUTORS, plane) for plane in planes)])
    found = [row for name in names if (row := view.get(TARGETS, name)) and row.state not in GONE]
    offered = {plane: frozenset(told.kinds) for plane in planes if (told := view.get(EXECUTORS, plane))}
    return Facts({row.name: _device(row) for row in found}, {}, seen_on, offered)


def _device(row: TargetRecord) -> Device:
    return Device(row.name, row.host_names, frozenset(row.kinds), frozenset(row.report.tags))
