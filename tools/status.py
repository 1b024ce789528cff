"""Make the README's status table: from the contracts, what the executors offer, and what the servicers answer.

`--check` changes nothing and fails if the README's table is another.
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import quell
from google.protobuf.descriptor import ServiceDescriptor

from quell_agent.needs import LINUX, NEEDS
from quell_agent.offers import Means
from quell_agent.offers import lack as lacking_on_devices
from quell_agent.offers import offers as offered_on_devices
from quell_agent.settings import AgentSettings
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.offers import Means as MailMeans
from quell_email.offers import offers as offered_on_mail
from quell_executor.settings import Seams
from quell_runtime.errors import NotServedError
from quell_runtime.kinds import Kind, kinds
from quell_runtime.seams import nowhere

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- status: made by tools/status.py from the contracts and from what the executors offer -->\n"
END = "<!-- end of status -->"
SERVING = (
    "quell_actioncenter.api.serving",
    "quell_device.__main__",
    "quell_email.__main__",
    "quell_executor.service",
)
"""What has to be imported for every servicer to be known."""


def offered() -> dict[str, str]:
    """Return every kind with why it is not offered, empty if it is, by executors that have all that they can need.

    What this machine lacks says nothing about that: an agent that is to offer a kind names what is missing here.
    """
    nothing: Any = None
    with tempfile.TemporaryDirectory() as folder:
        settings = AgentSettings(data=Path(folder), rules=Path(folder))
        forwarding = TurnOffExternalForwarding(nothing, nothing, ())
        on_mail = offered_on_mail(MailMeans(nothing, nothing, nothing, nothing, nothing, nothing, Seams(), forwarding))
        on_devices = offered_on_devices(settings, Means(nothing, nowhere, nothing, nothing, nothing))
    for name, kind in kinds().items():
        if kind.plane == "device" and name not in on_devices:
            lacking_on_devices(name)
    return {
        name: "" if kind.plane == "device" or name in on_mail else "not built yet" for name, kind in kinds().items()
    }


def unserved() -> dict[str, list[str]]:
    """Return the RPCs that answer NOT_SERVED_YET, by service; a service that nothing serves has them all."""
    for module in SERVING:
        import_module(module)
    found = {}
    for service in services():
        names = [method.name for method in service.methods if not _served(service, method.name)]
        if names:
            found[service.full_name] = names if len(names) < len(service.methods) else ["every RPC"]
    return found


def services() -> Iterator[ServiceDescriptor]:
    """Yield every service of the contracts."""
    for root in map(Path, quell.__path__):
        for path in sorted(root.rglob("*_service_pb2.py")):
            module = import_module(".".join(("quell", *path.relative_to(root).with_suffix("").parts)))
            yield from module.DESCRIPTOR.services_by_name.values()


def _served(service: ServiceDescriptor, method: str) -> bool:
    generated = import_module(f"{service.file.name.removesuffix('.proto').replace('/', '.')}_pb2_grpc")
    base = getattr(generated, f"{service.name}Servicer")
    ours = [found for servicer in base.__subclasses__() if (found := vars(servicer).get(method))]
    return any(NotServedError.__name__ not in found.__code__.co_names for found in ours)


def table() -> str:
    """Return what stands between the marks."""
    lines = ["", "| remediation | on | undo | today |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {kinds()[name].plane} | {_undo(kinds()[name])} | {why or '**served**'} |"
        for name, why in offered().items()
    ]
    lines += ["", *_by_kernel_and_user()]
    if missing := unserved():
        lines += [
            "",
            "Everything else that the contracts have is served, but for these, which answer `NOT_SERVED_YET`:",
            "",
        ]
        lines += [f"- `{service}`: {', '.join(names)}" for service, names in missing.items()]
    else:
        lines += ["", "Everything else that the contracts have is served."]
    return "\n".join(lines) + "\n"


def _by_kernel_and_user() -> list[str]:
    """Return what the agent's code says that each kind needs, those that need the same together."""
    together: dict[str, list[str]] = {}
    for name, needs in NEEDS.items():
        later = "; ".join(f"{version}: {what}" for version, what in needs.later.items())
        columns = " | ".join((needs.ordinary or "not offered", needs.root, needs.also, later))
        together.setdefault(columns, []).append(name.replace("_", " "))
    return [
        f"On a device, for which user and on which kernel (the agent itself: Linux {LINUX} or later):",
        "",
        "| on a device | an ordinary user's agent reaches | root's | needs besides | with a kernel from |",
        "|---|---|---|---|---|",
        *(f"| {', '.join(names)} | {columns} |" for columns, names in together.items()),
    ]


def _undo(kind: Kind) -> str:
    if kind.read_only:
        return "changes nothing"
    if kind.undoable:
        return f"exact, but for {', '.join(kind.not_restored)}" if kind.not_restored else "exact"
    return f"by `{kind.inverse}` anew" if kind.inverse else "none"


def main(arguments: list[str]) -> int:
    """Write the table, or check it."""
    text = README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or arguments not in ([], ["--check"]):
        print("usage: status.py [--check]; the README needs its two marks")
        return 2
    made = before + begin + table() + end + after
    if arguments and made != text:
        print("the README's status table is out of date: run .venv/bin/python tools/status.py")
        return 1
    if not arguments:
        README.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
