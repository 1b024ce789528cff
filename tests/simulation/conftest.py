"""How many seeds, or which one."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take them from the command line."""
    parser.addoption("--first", type=int, default=None, help="where the seeds begin; by chance if not given")
    parser.addoption("--seeds", type=int, default=50, help="fresh seeds of the simulation")
    parser.addoption("--interleavings", type=int, default=200, help="bursts of contradicting orders for one device")
    parser.addoption("--seed", type=int, default=None, help="the one seed of the simulation to replay")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the simulation went through."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "simulation":
                terminalreporter.write_line(f"simulation: {value}")
