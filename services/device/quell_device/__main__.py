"""The device service as a process: it alone knows which store, clock and keys there are."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from quell.device.v1 import (
    agent_service_pb2_grpc,
    artifact_service_pb2_grpc,
    device_remediation_service_pb2_grpc,
    fleet_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2_grpc
from quell.warrant.v1 import seal_pb2

from quell_device.api.agents import AgentServicer
from quell_device.api.artifacts import ArtifactServicer
from quell_device.api.executor import ExecutorServicer
from quell_device.api.fleet import FleetServicer
from quell_device.api.remediations import DeviceRemediationServicer
from quell_device.application.artifacts import Artifacts
from quell_device.application.center import Center
from quell_device.application.enrolment import Enrolment, Terms
from quell_device.application.gateway import Gateway
from quell_device.application.registry import Registry
from quell_device.application.uploads import Intake, Uploads
from quell_device.domain.artifacts import Quota
from quell_device.settings import DeviceSettings
from quell_device.store.parts import Parts
from quell_runtime import by_hand, pki, program
from quell_runtime.config import load
from quell_runtime.people import People
from quell_runtime.seams import Clock, Point, SystemClock, SystemRng, nowhere
from quell_runtime.server import AGENTS, API, ENROLMENT, Server, serving
from quell_runtime.store.opening import opened

USE = b"quell-artifacts-1"
"""For what a key is made of the service's own: it locks artifacts."""


@dataclass(frozen=True, slots=True)
class Service:
    """A device service that is ready to listen."""

    api: Server
    agents: Server
    enrolment: Server
    people: People
    artifacts: Artifacts


@contextlib.asynccontextmanager
async def composed(settings: DeviceSettings, clock: Clock, point: Point = nowhere) -> AsyncIterator[Service]:
    """Put the service together over the data in its folder."""
    rng = SystemRng()
    people = People(settings.people)
    async with (
        opened(settings.data, "quell_device.store", name="device", point=point) as store,
        by_hand.action_center(settings.action_center, settings.api) as asked,
    ):
        registry = Registry(store, clock)
        await registry.begin()
        center = Center(registry, settings.deployment, bytes.fromhex(settings.root_key))
        await center.begin(seal_pb2.Sealed.FromString(settings.key_set.read_bytes()) if settings.key_set else None)
        gateway = Gateway(registry, center, clock, rng, pki.load_seal_key(settings.identity_key).public)
        await gateway.departures.begin()
        authority = pki.Authority.load(settings.agents.ca_certificate, settings.agents.ca_key)
        enrolment = Enrolment(registry, center, authority, _terms(settings), clock)
        parts = Parts(settings.artifacts.url, settings.data / "artifacts", pki.derived_key(settings.identity_key, USE))
        artifacts = Artifacts(store, parts, gateway.accesses, clock)
        uploads = Uploads(registry, artifacts, parts, _intake(settings), clock)
        agents = AgentServicer(enrolment, gateway, uploads)
        service = Service(*_servers(settings, people, clock), people, artifacts)
        service.api.add(
            fleet_service_pb2_grpc.add_FleetServiceServicer_to_server, FleetServicer(registry, enrolment, rng)
        )
        service.api.add(executor_service_pb2_grpc.add_ExecutorServiceServicer_to_server, ExecutorServicer(gateway))
        service.api.add(artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server, ArtifactServicer(artifacts))
        service.api.add(
            device_remediation_service_pb2_grpc.add_DeviceRemediationServiceServicer_to_server,
            DeviceRemediationServicer(asked),
        )
        for server in (service.agents, service.enrolment):
            server.add(agent_service_pb2_grpc.add_AgentServiceServicer_to_server, agents)
        running = [asyncio.create_task(each) for each in (gateway.presence.run(), artifacts.run())]
        try:
            yield service
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


def _servers(settings: DeviceSettings, people: People, clock: Clock) -> tuple[Server, Server, Server]:
    """Return those for people and services, for agents, and for who wants to become one."""
    return (
        Server(settings.api, API, settings.deployment, people, clock=clock),
        Server(settings.agents.listener, AGENTS, settings.deployment, people, clock=clock),
        Server(settings.enrolment, ENROLMENT, settings.deployment, people, clock=clock),
    )


def _terms(settings: DeviceSettings) -> Terms:
    roots = x509.load_pem_x509_certificates(settings.api.client_ca.read_bytes())
    listener = x509.load_pem_x509_certificate(settings.enrolment.certificate.read_bytes())
    return Terms(
        deployment=settings.deployment,
        root_key=bytes.fromhex(settings.root_key),
        trust_roots=[root.public_bytes(Encoding.DER) for root in roots],
        enrol_address=settings.enrolment.dialled,
        agents_address=settings.agents.dialled,
        listener_digest=pki.fingerprint(listener),
        certificate_life=settings.agents.certificate_life,
    )


def _intake(settings: DeviceSettings) -> Intake:
    section = settings.artifacts
    quota = Quota(section.device_quota_mib << 20, section.quota_mib << 20)
    return Intake(quota, timedelta(days=section.retention_days), section.idle_s)


async def serve(settings: DeviceSettings, stop: asyncio.Event, point: Point = nowhere) -> None:
    """Serve until told to stop."""
    async with (
        composed(settings, SystemClock(), point) as service,
        serving(settings, service.people, service.api, service.agents, service.enrolment),
    ):
        await stop.wait()


def main() -> int:
    """Run it."""
    return program.run("quell-device", partial(load, DeviceSettings), serve)


if __name__ == "__main__":
    sys.exit(main())
