"""An approval fans out to a thousand devices while gateway and centre are killed: nothing is lost, nothing doubled."""

import asyncio
import signal
import uuid
from collections import Counter
from functools import partial
from operator import eq, le
from pathlib import Path

import grpc
from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import device_pb2, remediation_pb2
from quell.warrant.v1 import warrant_pb2

from eventually import eventually
from house import free_ports
from mortal_house import Asking, Mortal, MortalHouse, mortal_house
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports
from quell_runtime import client
from simulated_fleet import SimulatedAgent, enrolled, living

AGENTS = 1000
VOTES = 500
WITHIN = 240.0
FULL = device_pb2.ISOLATION_MODE_FULL


async def ask_for(asking: Asking, agents: list[SimulatedAgent]) -> list[action_pb2.Action]:
    """Have ann ask for the isolation of each."""
    room = asyncio.Semaphore(50)

    async def one(agent: SimulatedAgent) -> action_pb2.Action:
        order = device_pb2.IsolateDevice(device=agent.name, mode=FULL)
        async with room, asyncio.timeout(WITHIN):
            while True:
                try:
                    return await asking.created(remediation_pb2.Remediation(isolate_device=order))
                except grpc.aio.AioRpcError as error:
                    # The centre hears of a new device as soon as the gateway has written it down.
                    if client.problem(error).reason != "TARGET_UNRESOLVED":
                        raise
                await asyncio.sleep(0.1)

    return await asyncio.gather(*map(one, agents))


async def approve(asking: Asking, actions: list[action_pb2.Action]) -> None:
    """Have bob approve all of them, and say so again until he is answered."""
    for at in range(0, len(actions), VOTES):
        seen = [action_service_pb2.SeenAction(name=each.name, etag=each.etag) for each in actions[at : at + VOTES]]
        request = action_service_pb2.BatchDecideActionsRequest(
            vote_id=str(uuid.uuid4()),
            answer=action_pb2.ANSWER_APPROVE,
            comment="an outbreak",
            actions=action_service_pb2.SeenActions(actions=seen),
        )
        answer = await asking.insist(asking.bob.BatchDecideActions, request)
        assert not [each for each in answer.results if each.HasField("refusal")]


async def count(asking: Asking, state: str) -> int:
    """Return how many isolations are in a state."""
    request = action_service_pb2.ListActionsRequest(filter=f"kind = isolate_device AND state = {state}", page_size=1)
    return (await asking.insist(asking.ann.ListActions, request)).total_size


async def kill_and_start(house: MortalHouse, name: str) -> None:
    """As a power cut does."""
    await asyncio.to_thread(house.processes[name].end, signal.SIGKILL)
    await asyncio.to_thread(house.processes[name].start)


async def fanned_out(house: MortalHouse, agents: list[SimulatedAgent], ports: Ports) -> None:
    """Enrol, connect, approve, kill what is between people and devices, and wait until all is in force."""
    async with house.asking() as asking:
        done = partial(count, asking, "SUCCEEDED")
        tokens = [await asking.token() for _ in agents]
        ca = house.folder.certificate("deployment-ca").read_bytes()
        await enrolled(agents, tokens, ca, ports.at("enrolment"))
        async with living(agents, ports.at("agents")):
            actions = await ask_for(asking, agents)
            await approve(asking, actions)
            for number, victim in enumerate(("device", "actioncenter", "device"), 1):
                await eventually(done, partial(le, number * 100), WITHIN)
                await kill_and_start(house, victim)
            await eventually(done, partial(eq, AGENTS), WITHIN)
        for action in actions[::20]:
            assert await asking.events(action.name) == ["asked", "approved", "claimed", "found_in_force"]
        assert await asking.chain_holds()


def test_a_thousand_isolations_outlive_their_gateway_and_their_centre(tmp_path: Path) -> None:
    """Each device hears its one order, with one body, and each action ends by one receipt."""
    folder, ports = Folder(tmp_path / "quell"), Ports(free_ports())
    deployment.make(folder, ports)
    agents = [SimulatedAgent(number) for number in range(AGENTS)]
    with mortal_house(folder.root, Mortal("device", folder), Mortal("actioncenter", folder)) as house:
        asyncio.run(fanned_out(house, agents, ports))
    assert Counter(len(agent.orders) for agent in agents) == {1: AGENTS}
    assert not [agent.doubled for agent in agents if agent.doubled]
    assert sum(agent.streams for agent in agents) > 2 * AGENTS, "the streams did not break"


def test_a_second_body_for_one_action_is_seen_as_a_doubled_order() -> None:
    """The control: the agents would notice."""
    agent = SimulatedAgent(0)
    for sequence in (1, 1, 2):
        warrant = warrant_pb2.Warrant(action="actions/1", sequence=sequence)
        sealed = agent.key.seal(warrant.DESCRIPTOR.full_name, [warrant.SerializeToString()])
        agent.answers(executor_service_pb2.WorkRequest(warrants=executor_service_pb2.Warrants(warrants=sealed)))
        assert agent.doubled == (["actions/1"] if sequence > 1 else [])
