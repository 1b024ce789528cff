"""Taken, and then the world moves: the look says so by its reason; and when it is as it was, that all is well."""

from quarantine_world import World


async def test_the_content_runs_again_from_elsewhere(world: World) -> None:
    """A copy that nobody had looked for is started; ended, it is as it should be."""
    evil = world.program("evil")
    copy = world.program("elsewhere/copy", like=evil)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE"]
    process = world.run(copy, "60")
    assert (await world.states(plan), await world.reasons(plan)) == (["FAILED"], ["STILL_RUNS"])
    process.kill()
    process.wait()
    assert await world.states(plan) == ["DONE"]


async def test_what_started_it_is_written_again(world: World) -> None:
    """The same line, by somebody else; taken out, it is as it should be."""
    evil, table = world.program("evil"), world.root / "etc/crontab"
    table.parent.mkdir(parents=True)
    line = f"* * * * * root {evil}\n"
    table.write_text(line)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE", "DONE"]
    disarmed = table.read_text()
    table.write_text(disarmed + line)
    assert await world.reasons(plan) == ["", "STARTS_AGAIN"]
    table.write_text(disarmed)
    assert await world.reasons(plan) == ["", ""]
