"""All that sends the mail of one mailbox on, judged together."""

from collections.abc import Collection, Iterator, Sequence

from quell.remediation.v1 import forwarding_pb2

from quell_email.domain import dotforward
from quell_email.domain.forwards import FILE, TURNED_OFF, Forwards, Judged, Script
from quell_email.sieve import disarming

ELSEWHERE = "it is a link to somewhere else"


def judged(scripts: Sequence[Script], domains: Collection[str]) -> Iterator[tuple[Script, Judged]]:
    """Yield each place with what it is like. `domains` are the organisation's own."""
    instead = disarming.stand_in([script.content for script in scripts if script.mechanism != FILE])
    for script in scripts:
        if script.link:
            yield script, Judged(TURNED_OFF, ("",), whole=ELSEWHERE)
        elif script.mechanism == FILE:
            yield script, dotforward.judge(script.content, domains)
        else:
            yield script, disarming.judge(script.content, domains, instead=instead)


async def forwardings(forwards: Forwards, mailbox: str, domains: Collection[str]) -> list[forwarding_pb2.Forwarding]:
    """Return where a mailbox sends its mail on to now, outside first. What is not run by the server sends nothing on.

    Raises:
        RefusedError: It can't be read.

    """
    scripts = await forwards.read(mailbox)
    run = _run(scripts)
    found = [
        forwarding_pb2.Forwarding(
            mailbox=f"mailboxes/{mailbox}",
            mechanism=script.mechanism,
            place=script.shown,
            address=address,
            external=external,
        )
        for script, like in judged(scripts, domains)
        if script.place in run
        for external, addresses in ((True, like.outside), (False, like.inside))
        for address in addresses
    ]
    return sorted(found, key=lambda forwarding: not forwarding.external)


def _run(scripts: Sequence[Script]) -> frozenset[str]:
    """Return the places that the server runs: those that are active, and what they include."""
    by_name = {script.name: script for script in scripts if script.name}
    waiting = [script for script in scripts if script.active]
    run = {script.place for script in waiting}
    while waiting:
        names = disarming.included(waiting.pop().content)
        more = [by_name[name] for name in names & by_name.keys() if by_name[name].place not in run]
        run |= {script.place for script in more}
        waiting += more
    return frozenset(run)
