"""The agent as a process. What it is made of is told by `agent`."""

import sys


def main() -> int:
    """Run it, or open what a lost one has left (`recover`)."""
    if sys.argv[1:2] == ["recover"]:
        from quell_agent import recover  # noqa: PLC0415 - alone: it is another program

        return recover.main(sys.argv[2:])
    # structlog loads rich where it finds it, and asyncio TLS, for what this process never does: 12 MB.
    for needless in ("rich", "ssl"):
        sys.modules[needless] = None  # type: ignore[assignment]
    from quell_agent import agent  # noqa: PLC0415 - after what it must not load
    from quell_agent.settings import AgentSettings  # noqa: PLC0415
    from quell_runtime import program  # noqa: PLC0415

    return program.run("quell-agent", AgentSettings.load, agent.serve)


if __name__ == "__main__":
    sys.exit(main())
