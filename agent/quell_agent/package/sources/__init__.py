"""All sources, in the order in which they are read: what changes soonest comes first, what takes longest last."""

from quell_agent.package.gathering import Source
from quell_agent.package.sources import (
    accounts,
    autoruns,
    definitions,
    histories,
    integrity,
    kernel,
    logins,
    logs,
    network,
    packages,
    privileged,
    processes,
    storage,
    system,
    temp,
)

SOURCES = (
    Source("processes", processes.items),
    Source("network", network.items),
    Source("log_ins", logins.items),
    Source("kernel", kernel.items),
    Source("temporary_files", temp.items),
    Source("storage", storage.items),
    Source("system", system.items),
    Source("autoruns", autoruns.items),
    Source("accounts", accounts.items),
    Source("histories", histories.items),
    Source("logs", logs.items, seconds=120),
    Source("packages", packages.items),
    Source("definitions", definitions.items, seconds=120),
    Source("privileged_files", privileged.items, seconds=180),
    Source("integrity", integrity.items, seconds=240),
)
