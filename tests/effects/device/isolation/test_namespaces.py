"""Namespaces are found by who is in them, also by a single thread; the agent enters one and comes out unchanged."""

import asyncio
import subprocess
import sys

import pytest

import network_lab

PROGRAM = """
import os, socket, subprocess, threading, time
from pathlib import Path
from quell_agent.isolation.namespaces import Namespaces, inside
found = Namespaces(names=Path("/no-such-folder"))
print(len(found.others()))
holder = subprocess.Popen(["unshare", "--net", "sleep", "60"])
while not (others := found.others()):
    pass
own = os.stat("/proc/self/ns/net").st_ino
(way,) = others.values()
print(len(others), inside(way, lambda: os.stat("/proc/thread-self/ns/net").st_ino) in others)
print(os.stat("/proc/self/ns/net").st_ino == own)
holder.kill()
holder.wait()
print(len(found.others()), inside(way, lambda: 1))
"""


async def test_found_entered_and_left() -> None:
    """In a process namespace of its own, where the first process is in the agent's network namespace."""
    if why := network_lab.missing():
        pytest.skip(why)
    apart = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    process = await asyncio.create_subprocess_exec(*apart, sys.executable, "-c", PROGRAM, stdout=subprocess.PIPE)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert out.decode().splitlines() == ["0", "1 True", "True", "0 None"]
