"""A skipped test is counted and says why. Where everything has to be there, with CI=true, it has failed."""

import os
import signal
from collections.abc import Generator

import pytest

COMPLETE = os.environ.get("CI") == "true"

# Some tests fork this process into namespaces of their own, where gRPC's fork handlers can't start their threads again.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Who runs the tests in the background has them ignore Ctrl-C, and every process that they start and interrupt too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure with the skip's reason."""
    report = yield
    if COMPLETE and report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{why}; with CI=true nothing may be skipped"
    return report
