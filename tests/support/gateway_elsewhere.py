"""A deployment whose gateway and enrolment are dialled from another machine, by an address of this one."""

from datetime import UTC, datetime

from quell.annotations.v1 import annotations_pb2

from quell_cli import deployment
from quell_cli.deployment import Folder
from quell_runtime import pki
from quell_runtime.identity import Identity

LISTENERS = ("agents", "enrolment")


def certify(folder: Folder, host: str) -> None:
    """Give both listeners certificates for that address instead of those for loopback."""
    authority = pki.Authority.load(folder.certificate("deployment-ca"), folder.key("deployment-ca"))
    for name in LISTENERS:
        folder.certificate(name).unlink()
        folder.key(name).unlink()
        who = Identity(annotations_pb2.CALLER_SERVICE, deployment.DEPLOYMENT, name)
        leaf = authority.issue(who, datetime.now(UTC), hosts=(host,), life=deployment.KEY_LIFE)
        leaf.save(folder.certificate(name), folder.key(name))
