"""What an order lets start, if that is safe: an order's words made into a policy."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quell.remediation.v1 import device_pb2, target_pb2

from quell_agent import files
from quell_agent.execution import openers, packages
from quell_agent.execution.policy import Policy, Selector, is_below, is_roots_alone, own_code
from quell_agent.execution.trust import login_paths
from quell_executor.effect import RefusedError


def understood(order: device_pb2.RestrictCodeExecution, base: Policy) -> Policy:
    """Return what an order lets start besides what the base does, and the agent's own code.

    Raises:
        RefusedError: Somebody other than root could change what it trusts, or the agent could not start again.

    """
    folders = tuple(sorted({files.meant(folder).rstrip("/") for folder in order.allowed_folders}))
    allowed = tuple(sorted({_selector(each) for each in order.allowed}, key=repr))
    _check(folders, allowed)
    own = own_code()
    if not all(map(is_roots_alone, own)):
        raise RefusedError("AGENT_NOT_SAFE", "others than root could change the agent's own code")
    policy = replace(base, allowed=allowed, folders=folders, own=own)
    if not all(_may_start_again(policy, openers.program(pid)) for pid in openers.ancestors(os.getpid())):
        raise RefusedError("STARTER_NOT_TRUSTED", "what started the agent would not start again")
    return policy


def _check(folders: Sequence[str], allowed: Sequence[Selector]) -> None:
    for folder in folders:
        if not Path(folder).is_dir() or not is_roots_alone(folder):
            raise RefusedError("FOLDER_NOT_SAFE", "an allowed folder must be root's, and nobody else may write to it")
    for each in allowed:
        if not each.sha256 and not each.sha1 and not is_roots_alone(each.path):
            raise RefusedError("PATH_NOT_SAFE", "a file that is allowed by path alone must be root's alone")


def _may_start_again(policy: Policy, program: str) -> bool:
    """Tell whether a program that runs is ours, one by which root comes in, or of a package."""
    ours = is_below(program, policy.own) or program in login_paths(policy.login)
    return bool(program) and (ours or packages.bring(Path(policy.packages), program))


def _selector(selector: target_pb2.FileSelector) -> Selector:
    path = files.meant(selector.path) if selector.path else ""
    return Selector(selector.sha256, selector.sha1, path)
