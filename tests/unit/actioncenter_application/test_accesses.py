"""Who took what out of an executor's keeping, and why, stands in the audit log once it is acknowledged."""

from collections.abc import Callable

from quell.actioncenter.v1 import audit_service_pb2
from quell.executor.v1 import executor_service_pb2

from center_bench import Bench

ARTIFACT = "artifacts/0123456789abcdef0123456789abcdef"


def access(bench: Bench, **fields: str) -> executor_service_pb2.Access:
    """Return a proper one, but for `fields`."""
    proper = {"id": bench.uuid(), "actor": "ann", "resource": ARTIFACT, "comment": "to look at it"}
    return executor_service_pb2.Access(**(proper | fields))  # type: ignore[arg-type]


def say(bench: Bench, *accesses: executor_service_pb2.Access) -> None:
    """Have the device service send them."""
    bench.device.say(executor_service_pb2.WorkResponse(accesses=executor_service_pb2.Accesses(accesses=accesses)))


def test_it_is_in_the_log_once_however_often_it_comes(play: Callable[..., None]) -> None:
    """With its actor, its resource and its reason; then its id is acknowledged, each time."""

    async def story(bench: Bench) -> None:
        told = access(bench)
        say(bench, told, told)
        await bench.settle()
        assert bench.device.stored == {told.id}
        bench.device.stored.clear()
        say(bench, told)
        await bench.settle()
        assert bench.device.stored == {told.id}
        (entry,) = await bench.events(ARTIFACT)
        assert (entry.actor, entry.event) == ("ann", "artifact_downloaded")
        inner = audit_service_pb2.AuditEntry.FromString(entry.payload).payload
        assert executor_service_pb2.Access.FromString(inner).comment == "to look at it"

    play(story)


def test_what_is_malformed_or_uses_an_id_again_is_not_acknowledged(play: Callable[..., None]) -> None:
    """So nothing is given out for it; the proper ones beside it count, and the stream goes on."""

    async def story(bench: Bench) -> None:
        first = access(bench)
        say(bench, first)
        wrong = [
            access(bench, comment=""),
            access(bench, actor=""),
            access(bench, id="1"),
            access(bench, resource="actions/1"),
            access(bench, id=first.id, actor="bob"),
        ]
        last = access(bench)
        say(bench, *wrong, last)
        await bench.settle()
        assert bench.device.stored == {first.id, last.id}
        downloads = [entry for entry in await bench.events() if entry.event == "artifact_downloaded"]
        assert [(entry.actor, entry.resource) for entry in downloads] == [("ann", ARTIFACT)] * 2

    play(story)
