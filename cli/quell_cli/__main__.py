"""`quell`: see, decide, take back. What a command needs is imported when it runs, so that `--help` is quick."""

import os
import sys
from importlib import import_module
from pathlib import Path

import click

COMMANDS = {
    "up": ("running", "Start every service and this machine's agent; Ctrl-C drains and stops."),
    "demo": ("running", "Run the main job once on real input, step by step."),
    "submit": ("investigations", "Submit an investigation from a JSON file, as a detection system would."),
    "investigations": ("investigations", "See investigations, their evidence and what came of it."),
    "actions": ("actions", "See, preview, decide, cancel, undo and retry actions."),
    "act": ("acting", "Ask for an action by hand: a command for each kind of remediation."),
    "why": ("actions", "Tell why an action exists and who let it happen."),
    "effects": ("controls", "See what is in force now: quarantined, deleted, blocked."),
    "devices": ("devices", "See devices, bring one in, shut one out."),
    "artifacts": ("artifacts", "See packages and samples that were brought in, take one out."),
    "mailboxes": ("mailboxes", "See mailboxes, and who sends mail on to the outside now."),
    "quarantine": ("quarantine", "See messages in quarantine, and what they say, safely."),
    "urls": ("devices", "Check whether a URL may be followed."),
    "freeze": ("controls", "Stop new effects at once."),
    "unfreeze": ("controls", "Vote to lift the freeze."),
    "budgets": ("controls", "See budgets and what is left of each."),
    "policy": ("policies", "Show the policy in force, try a document, put one in force."),
    "audit": ("controls", "See the audit log and verify its chain."),
    "keys": ("keys", "Make or show a key of your own, which seals what you approve."),
    "token": ("keys", "Print the header by which a service may ask for one action as you."),
    "certificate": ("running", "Make a certificate for a person, a detection system or a mail filter."),
    "renew": ("running", "Make certificates and the centre's keys last another year."),
    "completion": ("running", "Print the completion script for bash, zsh or fish."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"quell_cli.commands.{module}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


# QUELL_... in the environment is the services', which refuse what they don't know.
@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="QUELLDIR",
    show_envvar=True,
    default=".quell",
    show_default=True,
    help="Folder of the deployment.",
)
@click.option(
    "--as",
    "person",
    envvar="QUELLAS",
    show_envvar=True,
    default="ann",
    show_default=True,
    help="Who asks: a certificate's name.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@click.option("--utc", is_flag=True, help="Show times in UTC.")
@click.version_option(package_name="quell")
@click.pass_context
def quell(ctx: click.Context, data: Path, person: str, *, as_json: bool, utc: bool) -> None:
    """See what investigations ask for, decide, watch it happen, take it back.

    Exit codes: 0 done; 1 it came otherwise than asked; 2 wrong use or set-up; 3 there is no such thing; 4 not in this
    state, or not by you; 5 a service can't be reached, or can't do it; 130 Ctrl-C.
    """
    from quell_cli.session import Session  # noqa: PLC0415 - only when a command runs

    ctx.obj = Session(data, person, as_json=as_json, utc=utc)


def main() -> None:
    """Run the command line."""
    # Python writes its own trace of an interrupted start; people pressed the keys and know.
    try:
        quell(prog_name="quell")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        os._exit(130)


if __name__ == "__main__":
    main()
